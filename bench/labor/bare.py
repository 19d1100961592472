"""The bare loop: processes that read the shards of a folder, call the kernel and hash the results, and nothing else.

`python -m bench.labor.bare FOLDER MODEL ROWS_PER_SHARD PROCESSES` prints the seconds from when all were ready to when
all were done. Rows are cast to what the network takes in pieces that stay in the cache: the best that a careful person
would write.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from liam_core import BinaryNetwork

PIECE = 2048
LEAST = 5
"""Arguments of one process of the loop: with what it is called, and its number."""


def shards(folder: Path, rows: int) -> list[tuple[Path, int, int]]:
    """Return file, first row and end of each shard."""
    found = []
    for path in sorted(folder.iterdir()):
        count = len(np.load(path, mmap_mode="r"))
        found += [(path, first, min(first + rows, count)) for first in range(0, count, rows)]
    return found


def loop(folder: Path, model: Path, rows: int, processes: int, number: int) -> None:
    """Run every n-th shard as soon as a line comes."""
    network = BinaryNetwork.open(model)
    mine = shards(folder, rows)[number::processes]
    piece = np.empty((PIECE, network.features), np.float32)
    scores = np.empty((PIECE, network.classes), np.float32)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for path, first, end in mine:
        with path.open("rb") as file:
            header = path.stat().st_size - len(np.load(path, mmap_mode="r")) * network.features
            file.seek(header + first * network.features)
            pixels = np.fromfile(file, np.uint8, (end - first) * network.features).reshape(-1, network.features)
        labels = np.empty(len(pixels), np.int64)
        for start in range(0, len(pixels), PIECE):
            count = min(PIECE, len(pixels) - start)
            np.copyto(piece[:count], pixels[start : start + count])
            network.run(piece[:count], labels[start : start + count], scores[:count])
        hashlib.sha256(labels).hexdigest()


def main() -> None:
    """Run the loop, or one process of it."""
    folder, model, rows, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if len(sys.argv) > LEAST:
        loop(folder, model, rows, processes, int(sys.argv[LEAST]))
        return
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.labor.bare", *sys.argv[1:], str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for process in running:
        process.stdout.readline()
    started = time.perf_counter()
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    if any(process.wait() for process in running):
        raise SystemExit(1)
    sys.stdout.write(f"{time.perf_counter() - started}\n")


if __name__ == "__main__":
    main()
