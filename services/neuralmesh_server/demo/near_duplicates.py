"""`python -m neuralmesh_server.demo.near_duplicates`: liam.signal_transform and a radius, on the handwritten digits.

A transform makes fingerprints of 256 bits of images: the Walsh spectrum of each is rotated at random and compared with
the medians. An index finds all fingerprints within a radius. Together they tell which images are noisy copies of known
ones; both are versions that can be named, compared, replayed and replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import liam_core
from liam_core import steps
from neuralmesh_server.demo.stage import check, serve, tell

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console

    from neuralmesh import Client

FINGERPRINT, COPIES = "fingerprint", "known-digits"
WIDTH = 256
RADIUS = 20
NOISE = 0.5
SEED = 7


def main() -> None:
    """Run the demo; exits with 1 where a step does not hold."""
    tell(_story)


def _story(client: Client, console: Console, folder: Path) -> None:
    from neuralmesh_server.demo import digits  # noqa: PLC0415 - scikit-learn takes its time

    data = digits.load()
    known = _padded(data.train_images)
    path = folder / "fingerprint.safetensors"
    _write_fingerprint(path, known)
    version = serve(client, FINGERPRINT, path, kind="liam.signal_transform", reason="fingerprints of 256 bits")
    chain = ", ".join(liam_core.SignalTransform.open(path).describe()["steps"])
    console.print(f"\n[bold]{FINGERPRINT} {version}[/bold]: {chain}; {path.stat().st_size:,} bytes", highlight=False)

    path = folder / "known.safetensors"
    codes = liam_core.from_packbits(_fingerprints(client, known), WIDTH, "little")
    liam_core.write_binary_index(path, codes=codes, nbits=WIDTH, radius=RADIUS, input_form="packed")
    version = serve(client, COPIES, path, kind="liam.binary_index", reason=f"within {RADIUS} bits")
    console.print(f"[bold]{COPIES} {version}[/bold]: {len(codes):,} fingerprints, {path.stat().st_size:,} bytes")

    noisy = data.train_images + np.random.default_rng(SEED).normal(0, NOISE, data.train_images.shape)
    copies = _matches(client, _padded(noisy.astype(np.float32)))
    found = sum(own in ids for own, ids in enumerate(copies)) / len(copies)
    console.print(f"\n  of {len(copies):,} noisy copies {found:.1%} are found, each under its own id")
    strangers = sum(len(ids) > 0 for ids in _matches(client, _padded(data.held_out_images))) / len(data.held_out_images)
    console.print(f"  of {len(data.held_out_images)} new images {strangers:.1%} look like copies")
    check(found >= 0.99, "fewer than 99 % of the copies are found")
    check(strangers <= 0.05, "more than a twentieth of the new images look like copies")


def _padded(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images of 64 pixels four times side by side: a rotation then gives 256 different bits."""
    return np.ascontiguousarray(np.tile(images, 4), dtype=np.float32)


def _write_fingerprint(path: Path, known: NDArray[np.float32]) -> None:
    """Write the chain; its thresholds are the medians of what the steps before them make of the known images."""
    signs = np.random.default_rng(SEED).choice([-1.0, 1.0], WIDTH)  # makes the four copies of an image differ
    before: list[steps.Step] = [
        steps.Scale(signs / np.sqrt(WIDTH)),
        steps.WalshHadamard("sequency"),
        steps.Rotation(SEED),
    ]
    liam_core.write_signal_transform(path, width=WIDTH, steps=before)
    medians = np.median(liam_core.SignalTransform.open(path).run(known), axis=0)
    liam_core.write_signal_transform(path, width=WIDTH, steps=[*before, steps.Threshold(medians)])


def _fingerprints(client: Client, images: NDArray[np.float32]) -> NDArray[np.uint8]:
    packed: NDArray[np.uint8] = client.infer(FINGERPRINT, {"input": images}).outputs["output"]
    return packed


def _matches(client: Client, images: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """Return the ids of the known images that each image is a copy of."""
    found = client.infer(COPIES, {"input": _fingerprints(client, images)}).outputs
    return np.split(found["ids"], np.cumsum(found["counts"])[:-1])


if __name__ == "__main__":
    main()
