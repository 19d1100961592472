"""Counts a report again from the files of results: what a job said must follow from what it kept.

That is possible where every output was kept, since the columns that hold labels and probabilities are then those that
the job looked at.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server.labor import plan, reports, tallies

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.labor.plan import Recipe

    Columns = Mapping[str, NDArray[Any]]

BESIDE = frozenset({"row", "id", "true_label", "agrees", "largest_difference"})
"""Columns that are no output."""

BASELINE = "baseline_"
LABEL = "label"


def report(recipe: Recipe, parts: Iterable[Path]) -> Fact:
    """Return the report of an evaluation or comparison from the files of its shards; None where that is impossible.

    Raises:
        ValueError: A file is not what its name says.
        OSError: A file cannot be read.
    """
    if recipe.outputs or recipe.kind == plan.INFER:
        return None
    counted: list[Fact] = []
    for path in parts:
        columns = read(path)
        missing = _needed(recipe.kind) - columns.keys()
        if missing:
            raise ValueError(f"{path.name} has no column {min(missing)!r}")
        tally = _evaluation(columns) if recipe.kind == plan.EVALUATE else _comparison(columns)
        if tally is None:
            return None
        counted.append(tally)
    return reports.report(recipe.kind, counted)


def read(path: Path) -> Columns:
    """Return the columns of a file of results, rows first; raises ValueError or OSError."""
    if path.suffix == ".safetensors":
        return _safetensors(path)
    import pyarrow as pa  # noqa: PLC0415 - who has no such file starts without it

    try:
        if path.suffix == ".parquet":
            from pyarrow import parquet  # noqa: PLC0415 - as above

            table = parquet.read_table(path)
        else:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    return {name: _array(pa, table.column(name)) for name in table.column_names}


def _needed(kind: str) -> set[str]:
    """Return the columns that every file of a job of some kind has."""
    return {"row", "true_label"} if kind == plan.EVALUATE else {"row"}


def _evaluation(columns: Columns) -> Fact:
    outputs = {name: values for name, values in columns.items() if name not in BESIDE}
    label = _label(outputs)
    if label is None:
        return None
    probabilities = [
        values for values in outputs.values() if values.dtype.kind == "f" and values.ndim == 2 and values.shape[1] != 1
    ]
    sure = tallies.confidences(probabilities[0]) if len(probabilities) == 1 else None
    return tallies.evaluation(columns["true_label"], outputs[label], sure)


def _comparison(columns: Columns) -> Fact:
    sides: tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]] = ({}, {})
    for name, values in columns.items():
        if name not in BESIDE:
            sides[not name.startswith(BASELINE)][name.removeprefix(BASELINE)] = values
    before, after = sides
    names = [_label(side) for side in sides]
    given = None
    if names[0] is not None and names[1] is not None:
        given = before[names[0]], after[names[1]]
    outputs = {name: (before.get(name), after.get(name)) for name in {*before, *after}}
    return tallies.comparison(len(columns["row"]), outputs, given)


def _label(outputs: Columns) -> str | None:
    """Return the output that holds labels, by the rule of the engines: `label`, or the only one that can."""
    able = [
        name
        for name, values in outputs.items()
        if (values.dtype.kind in "UO" or values.dtype == np.int64)
        and (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1))
    ]
    if LABEL in able:
        return LABEL
    return able[0] if len(able) == 1 else None


def _array(pa: Any, column: Any) -> NDArray[Any]:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = array.flatten()
    if pa.types.is_list(array.type):  # rows of no number
        return np.zeros((*shape, 0), array.type.value_type.to_pandas_dtype())
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return np.array(array.to_pylist(), np.str_).reshape(shape)
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values.reshape(shape)


def _safetensors(path: Path) -> Columns:
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + size])
        tensors = {
            name: np.frombuffer(data, _DTYPES[entry["dtype"]], count, 8 + size + entry["data_offsets"][0]).reshape(
                entry["shape"]
            )
            for name, entry in header.items()
            if name != "__metadata__"
            for count in [int(np.prod(entry["shape"], dtype=np.int64))]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no safetensors file: {error!r}") from error
    columns: dict[str, NDArray[Any]] = {}
    for name, values in tensors.items():
        if name.endswith(".utf8") and name.removesuffix("utf8") + "offsets" in tensors:
            ends = tensors[name.removesuffix("utf8") + "offsets"].tolist()
            text = values.tobytes()
            pieces = [text[first:end].decode() for first, end in itertools.pairwise(ends)]
            columns[name.removesuffix(".utf8")] = np.array(pieces, np.str_)
        elif not (name.endswith(".offsets") and name.removesuffix("offsets") + "utf8" in tensors):
            columns[name] = values
    return columns


_DTYPES = {
    **{f"U{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"I{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    "BOOL": "|b1",
}
