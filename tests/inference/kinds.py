"""Small indexes and transforms for the tests, as bytes of files, and what they must answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import liam_core
import liam_core.storage
from liam_core import steps

WIDTH = 48
ROWS = 120
VECTORS = np.random.default_rng(31).standard_normal((ROWS, WIDTH)).astype(np.float32)
IDS = np.random.default_rng(32).permutation(ROWS).astype(np.int64) + 1000
QUERIES = (VECTORS[:6] + np.random.default_rng(33).standard_normal((6, WIDTH)) / 2).astype(np.float32)

INDEX, TRANSFORM = "liam.binary_index", "liam.signal_transform"


def index(folder: Path, seed: int = 0, **how: object) -> bytes:
    """Return an index over `VECTORS`, shuffled by the seed, by way of a file in `folder`."""
    order = np.random.default_rng(seed).permutation(ROWS) if seed else np.arange(ROWS)
    path = folder / "index.safetensors"
    if not {"k", "radius"} & how.keys():
        how["k"] = 5
    codes = liam_core.pack(np.ascontiguousarray(VECTORS[order]))
    liam_core.write_binary_index(path, **{"codes": codes, "nbits": WIDTH, "ids": IDS[order], **how})
    return path.read_bytes()


def transform(folder: Path, *chain: steps.Step, **how: object) -> bytes:
    """Return a transform, a SimHash unless told otherwise, by way of a file in `folder`."""
    path = folder / "transform.safetensors"
    chosen = chain or (steps.Rotation(5), steps.Threshold())
    liam_core.write_signal_transform(path, **{"width": WIDTH, "steps": chosen, **how})
    return path.read_bytes()


def opened(folder: Path, content: bytes) -> liam_core.BinaryIndex | liam_core.SignalTransform:
    """Return what a file holds, as the kernel runs it."""
    path = folder / "opened.safetensors"
    path.write_bytes(content)
    is_index = liam_core.storage.format_of(path) == INDEX
    return liam_core.BinaryIndex.open(path) if is_index else liam_core.SignalTransform.open(path)


def packed(x: np.ndarray) -> np.ndarray:
    """Return the signs of numbers as bytes, little end first."""
    return np.packbits(x >= 0, axis=-1, bitorder="little")
