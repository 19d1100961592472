"""The same job on plain Dask: `python -m bench.labor.plain_dask FOLDER MODEL ROWS_PER_SHARD WORKERS OUT`.

It prints seconds. A data frame of one partition a shard, `map_partitions` over it, and Parquet: what people write who
have Dask and the kernel. Workers have imported everything and opened the network before the clock starts.
"""

from __future__ import annotations

import sys
import time
from functools import cache
from pathlib import Path

import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd

from bench.labor.bare import PIECE, shards
from liam_core import BinaryNetwork


@cache
def network(model: str) -> BinaryNetwork:
    """Return the network, opened once in a process."""
    return BinaryNetwork.open(model)


def warm_up(model: str) -> None:
    """Open the network in this process."""
    network(model)


def read(shard: tuple[str, int, int]) -> pd.DataFrame:
    """Return the rows of a shard."""
    path, first, end = shard
    return pd.DataFrame(np.load(path, mmap_mode="r")[first:end])


def predict(frame: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return row numbers and labels."""
    runs = network(model)
    pixels = frame.to_numpy()
    labels = np.empty(len(pixels), np.int64)
    for start in range(0, len(pixels), PIECE):
        labels[start : start + PIECE] = runs.run(pixels[start : start + PIECE].astype(np.float32, order="C"))[0]
    return pd.DataFrame({"row": np.arange(len(labels)), "label": labels})


def main() -> None:
    """Run the job."""
    folder, model, rows, workers, out = sys.argv[1:]
    parts = [(str(path), first, end) for path, first, end in shards(Path(folder), int(rows))]
    meta = pd.DataFrame({"row": np.array([], np.int64), "label": np.array([], np.int64)})
    with (
        distributed.LocalCluster(
            n_workers=int(workers),
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(warm_up, model)
        started = time.perf_counter()
        frame = dd.from_map(read, parts).map_partitions(predict, model, meta=meta)
        frame.to_parquet(out, compression=None, write_index=False)
        sys.stdout.write(f"{time.perf_counter() - started}\n")


if __name__ == "__main__":
    main()
