"""One table of digits, written in every format that data sets may have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.labor.plan import Columns

WIDTH = 6
NOTHING_NAMED = Columns()
NAMED = Columns((("x", ("pixels",)),), "digit", "name")


def digits(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels, labels and names of rows."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 17, (rows, WIDTH)).astype(np.uint8)
    labels = random.integers(0, 10, rows).astype(np.int64)
    return pixels, labels, np.array([f"row {row} ü" for row in range(rows)])


def table(rows: int, *, kind: str = "fixed") -> pa.Table:
    """Return the digits with pixels as lists of a fixed length, of any length, or as tensors."""
    pixels, labels, names = digits(rows)
    flat = pa.array(pixels.reshape(-1))
    if kind == "fixed":
        column = pa.FixedSizeListArray.from_arrays(flat, WIDTH)
    elif kind == "tensor":
        column = pa.FixedShapeTensorArray.from_numpy_ndarray(pixels.reshape(rows, 2, WIDTH // 2))
    else:
        column = pa.array(pixels.tolist(), pa.list_(pa.uint8()))
    return pa.table({"pixels": column, "digit": labels, "name": names.tolist()})


def write(path: Path, rows: int, *, group: int = 7) -> None:
    """Write the digits in the format of a path's suffix, the groups of rows of tables being small."""
    pixels, labels, names = digits(rows)
    match path.suffix:
        case ".npz":
            np.savez(path, pixels=pixels, digit=labels, name=names)
        case ".parquet":
            pq.write_table(table(rows), path, row_group_size=group)
        case ".arrow":
            with pa.ipc.new_file(path, table(rows).schema) as writer:
                writer.write_table(table(rows), max_chunksize=group)
        case ".feather":
            pyarrow.feather.write_feather(table(rows), path, compression="zstd", chunksize=group)
        case other:
            raise ValueError(other)


def refused(error: NeuralMeshError, *, reason: str = "DATASET_INVALID") -> str:
    """Return the message of an error with a reason."""
    assert error.reason == reason, error
    return error.message
