"""Files of results. Equal columns give equal bytes, whoever writes them; `writers` names what that depends on.

Parquet and Arrow come from pyarrow with every choice made here: one thread, no compression, no statistics. Integers are
stored as differences in Parquet, so that labels and row numbers take a few bits each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.writers import ARROW, PARQUET, SAFETENSORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROW_GROUP = 1 << 20
"""Most rows of a row group or record batch."""

_DTYPES = {
    "|b1": "BOOL",
    "|u1": "U8",
    "|i1": "I8",
    "<u2": "U16",
    "<i2": "I16",
    "<f2": "F16",
    "<u4": "U32",
    "<i4": "I32",
    "<f4": "F32",
    "<u8": "U64",
    "<i8": "I64",
    "<f8": "F64",
}
"""What safetensors calls NumPy's types."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Values of one name, rows first: numbers, booleans, or text (dtype `U`, or objects that are `str` or `bytes`)."""

    name: str
    values: NDArray[Any]


def encode(form: str, columns: Sequence[Column], rows: int) -> memoryview:
    """Return the bytes of a file that holds these columns in this order.

    Raises:
        InvalidArgumentError: FIELD_INVALID: two columns have one name.
    """
    names = [column.name for column in columns]
    for name in names:
        if names.count(name) > 1:
            why = f"two columns of the results would be called {name!r}; leave that output out"
            raise InvalidArgumentError("FIELD_INVALID", why, field="outputs", output=name)
    if form == SAFETENSORS:
        return _safetensors(columns)
    assert form in (PARQUET, ARROW), form
    return _arrow(form, columns, rows)


def _arrow(form: str, columns: Sequence[Column], rows: int) -> memoryview:
    import pyarrow as pa  # noqa: PLC0415 - who writes safetensors starts without it

    arrays = [_array(pa, column.values) for column in columns]
    schema = pa.schema([pa.field(c.name, array.type, nullable=False) for c, array in zip(columns, arrays, strict=True)])
    table = pa.Table.from_arrays(arrays, schema=schema)
    assert table.num_rows == rows
    sink = pa.BufferOutputStream()
    if form == ARROW:
        options = pa.ipc.IpcWriteOptions(compression=None, use_threads=False)
        with pa.ipc.new_file(sink, schema, options=options) as file:
            file.write_table(table, max_chunksize=ROW_GROUP)
    else:
        _parquet(table, sink)
    return memoryview(sink.getvalue())


def _parquet(table: Any, sink: Any) -> None:
    from pyarrow import parquet, types  # noqa: PLC0415 - as above

    encodings, texts = {}, []
    for field in table.schema:
        path, kind = field.name, field.type
        while types.is_fixed_size_list(kind):
            path, kind = path + ".list.element", kind.value_type
        if types.is_integer(kind):
            encodings[path] = "DELTA_BINARY_PACKED"
        elif types.is_string(kind) or types.is_large_string(kind):
            texts.append(path)
    parquet.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP,
        version="2.6",
        use_dictionary=texts,
        compression="NONE",
        write_statistics=False,
        data_page_version="1.0",
        column_encoding=encodings,
        store_schema=True,
        write_page_index=False,
    )


def _array(pa: Any, values: NDArray[Any]) -> Any:
    """Return an Arrow array; rows of several numbers become lists of fixed sizes."""
    if values.dtype.kind in "OU":
        flat = pa.array([_text(value) for value in values.reshape(-1).tolist()], pa.large_string())
    else:
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    if 0 in values.shape[1:]:  # Parquet cannot tell lists of size 0 from lists of one
        return pa.array([[]] * len(values), pa.list_(flat.type))
    for axis in range(values.ndim - 1, 0, -1):
        length = int(np.prod(values.shape[:axis]))
        kind = pa.list_(pa.field("element", flat.type, nullable=False), values.shape[axis])
        flat = pa.Array.from_buffers(kind, length, [None], children=[flat])
    return flat


def _safetensors(columns: Sequence[Column]) -> memoryview:
    """Return the file: tensors by falling width and then by name, so that all are aligned; keys in order."""
    tensors: dict[str, NDArray[Any]] = {}
    for column in columns:
        if column.values.dtype.kind not in "OU":
            tensors[column.name] = column.values
            continue
        # Text, of which the format knows nothing: UTF-8 one after the other, and where each begins and the last ends.
        texts = [_text(value).encode() for value in column.values.reshape(-1).tolist()]
        tensors[column.name + ".utf8"] = np.frombuffer(b"".join(texts), np.uint8)
        tensors[column.name + ".offsets"] = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    header: dict[str, Any] = {}
    parts: list[bytes | memoryview] = []
    end = 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        stored = np.ascontiguousarray(tensors[name], tensors[name].dtype.newbyteorder("<"))
        header[name] = {
            "dtype": _DTYPES[stored.dtype.str],
            "shape": list(tensors[name].shape),
            "data_offsets": [end, end + stored.nbytes],
        }
        end += stored.nbytes
        if stored.nbytes:
            parts.append(stored.reshape(-1).view(np.uint8).data)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return memoryview(b"".join([len(text).to_bytes(8, "little"), text, *parts]))


def _text(value: str | bytes) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
