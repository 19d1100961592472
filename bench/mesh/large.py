"""An artifact large enough to be cut in its middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import liam_core

if TYPE_CHECKING:
    from pathlib import Path

WORDS, CODES = 16, 262_144
"""32 MiB of codes."""


def large_index(folder: Path) -> Path:
    """Write an index of random codes."""
    path = folder / "large.safetensors"
    codes = np.random.default_rng(0).integers(0, 2**63, (CODES, WORDS), dtype=np.uint64)
    liam_core.write_binary_index(path, codes=codes, nbits=WORDS * 64, k=3)
    return path
