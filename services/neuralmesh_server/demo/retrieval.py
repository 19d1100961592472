"""`python -m neuralmesh_server.demo.retrieval`: the kind liam.binary_index on the UCI handwritten digits.

The index holds 1,198 images as 64 bits each. A held-out image gets the label that most of its five neighbours have.
Version 1 ranks by bits alone; version 2 ranks a shortlist by exact cosine, from vectors that the file holds as well.
Both take an image and give five ids, so that one replaces the other with one call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import liam_core
from neuralmesh_server.demo.stage import check, serve, tell

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console

    from neuralmesh import Client
    from neuralmesh_server.demo.digits import Digits

MODEL, KIND = "digits-nearest", "liam.binary_index"
NEIGHBOURS = 5
OVERSAMPLE = 20
ROWS_AT_ONCE = 100


def main() -> None:
    """Run the demo; exits with 1 where a step does not hold."""
    tell(_story)


def _story(client: Client, console: Console, folder: Path) -> None:
    from neuralmesh_server.demo import digits  # noqa: PLC0415 - scikit-learn takes its time

    data = digits.load()
    lengths = np.linalg.norm(data.train_images, axis=1, keepdims=True)
    bits = _version(client, console, folder, data, "bits alone")
    both = _version(
        client,
        console,
        folder,
        data,
        "a shortlist by bits, ranked by cosine",
        oversample=OVERSAMPLE,
        vectors=data.train_images / lengths,
    )
    check(bits >= 0.85, "bits alone find fewer than 85 % of the labels")
    check(both >= 0.96, "with rescoring fewer than 96 % of the labels are found")
    check(both > bits, "rescoring does not help")
    client.rollback(MODEL, reason="to show that it is one call")
    console.print(f"\nOne call, and version 1 answers again. {len(data.held_out_labels)} images were asked for twice.")


def _version(
    client: Client,
    console: Console,
    folder: Path,
    data: Digits,
    name: str,
    *,
    oversample: int | None = None,
    vectors: NDArray[np.float32] | None = None,
) -> float:
    """Write, push and promote a version of the index; returns how many labels it finds."""
    path = folder / "index.safetensors"
    thresholds = data.train_images.mean(axis=0)
    liam_core.write_binary_index(
        path,
        codes=liam_core.pack(data.train_images, thresholds),
        nbits=len(thresholds),
        k=NEIGHBOURS,
        thresholds=thresholds,
        oversample=oversample,
        vectors=vectors,
    )
    version = serve(client, MODEL, path, kind=KIND, reason=name)
    console.print(f"\n[bold]Version {version}: {name}[/bold], {path.stat().st_size:,} bytes", highlight=False)
    return _accuracy(client, console, data)


def _accuracy(client: Client, console: Console, data: Digits) -> float:
    right = 0
    for start in range(0, len(data.held_out_images), ROWS_AT_ONCE):
        images, truth = (part[start : start + ROWS_AT_ONCE] for part in (data.held_out_images, data.held_out_labels))
        prediction = client.infer(MODEL, {"input": images}, version="production")
        labels = data.train_labels[prediction.outputs["ids"]]
        right += int((_majority(labels) == truth).sum())
        if not start:
            said = ", ".join(f"{name} {prediction.outputs[name][0].tolist()}" for name in prediction.outputs)
            console.print(f"  a {truth[0]}: neighbours are {labels[0].tolist()} ({said})", soft_wrap=True)
    accuracy = right / len(data.held_out_labels)
    console.print(f"  the most frequent label of {NEIGHBOURS} neighbours is right for {accuracy:.1%}")
    return accuracy


def _majority(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the most frequent label of each row, of equally frequent ones the nearest."""
    votes = (labels[:, :, None] == labels[:, None, :]).sum(axis=2)
    return np.take_along_axis(labels, votes.argmax(axis=1)[:, None], axis=1)[:, 0]


if __name__ == "__main__":
    main()
