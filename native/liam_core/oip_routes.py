"""What the serving codec answers with, as `native/include/oip.h` lays it out: tensors, routes and tables of routes.

Calls only read them, so that several threads may; but a route counts in one block, which one of them writes.
"""

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Final

from liam_core.kernel import ffi, lib
from liam_core.network import BinaryNetwork
from liam_core.oip_blocks import ID_TEXT, Stats

__all__ = ["MAX_DIMS", "MAX_TENSORS", "Route", "Spec", "Table", "raw_field"]

MAX_TENSORS: Final[int] = lib.OIP_MAX_TENSORS
MAX_DIMS: Final[int] = lib.OIP_MAX_DIMS

_WIDTHS: Final = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
}
"""Bytes of an element. BYTES have no width, BF16 no NumPy type: the ordinary way serves them."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A tensor of a version; -1 stands for any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def supported(self) -> bool:
        """True when the codec knows such tensors."""
        return self.datatype in _WIDTHS and len(self.shape) <= MAX_DIMS


class Route:
    """What answers a request: a version under one applied revision.

    Args:
        model: Its name, and `version` its number as text, as answers say them.
        parameters: Name and text or number of each parameter of an answer; the prediction id comes on top. A call can
            demand the route by its `digest`.
        inputs: In the signature's order; `outputs` alike. All are `supported`, at most MAX_TENSORS each.
        network: What runs it; None when the caller does.
        label: Position of the output of INT64 labels; -1 for none.
        max_rows: Requests with more rows are passed.
        subject: The middle of its prediction ids.
        stats: What counts it.
        owner: The caller's number for it; labels and receipts carry it.
        receipts: Share of predictions with receipts, of 2^64 (`ALL` for all).
        bit_exact: What its receipts say of its numerics.
        issuer: Name that its prediction ids begin with, `nm1.{node}.`.
    """

    __slots__ = ("_keep", "block", "owner", "stats")

    def __init__(
        self,
        *,
        model: str,
        version: str,
        parameters: Mapping[str, str | int],
        inputs: Sequence[Spec],
        outputs: Sequence[Spec],
        network: BinaryNetwork | None,
        label: int,
        max_rows: int,
        subject: bytes,
        stats: Stats,
        owner: int,
        receipts: int,
        bit_exact: bool,
        issuer: str,
    ) -> None:
        self._keep: list[Any] = [network]
        self.owner, self.stats = owner, stats
        self.block: Any = ffi.new("oip_route *")
        block = self.block
        block.input, block.inputs = self._specs(inputs), len(inputs)
        block.output, block.outputs = self._specs(outputs), len(outputs)
        if network is not None:
            block.network, block.classes = network.handle, network.classes
        block.label, block.max_rows = label, max_rows
        self._set(block.head, _field(1, model.encode()) + _field(2, version.encode()))
        fixed = b"".join(_field(4, _entry(name, value)) for name, value in parameters.items())
        # The id's last characters are written for each answer.
        named = _field(4, _entry("prediction_id", issuer + "\0" * ID_TEXT))[:-ID_TEXT]
        self._set(block.parameters, fixed + named)
        self._set(block.digest, str(parameters.get("digest", "")).encode())
        ffi.memmove(block.subject, subject, lib.OIP_SUBJECT_BYTES)
        block.stats, block.owner = stats.block, owner
        block.flags = lib.OIP_RECEIPT_BIT_EXACT if bit_exact else 0
        block.receipts = receipts

    def renewed(self, subject: bytes, receipts: int, max_rows: int) -> "Route":
        """Return the same route under another subject, share of receipts and limit; it shares everything else."""
        route = copy(self)
        route.block = ffi.new("oip_route *", self.block[0])
        ffi.memmove(route.block.subject, subject, lib.OIP_SUBJECT_BYTES)
        route.block.receipts, route.block.max_rows = receipts, max_rows
        return route

    def counted_in(self, stats: Stats) -> "Route":
        """Return the same route for another thread, which counts it in `stats`; it shares everything else."""
        route = copy(self)
        route.block = ffi.new("oip_route *", self.block[0])
        route.block.stats, route.stats = stats.block, stats
        return route

    def _specs(self, specs: Sequence[Spec]) -> Any:
        blocks = ffi.new("oip_spec[]", len(specs))
        self._keep.append(blocks)
        for block, spec in zip(blocks, specs, strict=True):
            name, datatype = spec.name.encode(), spec.datatype.encode()
            self._set(block.name, name)
            self._set(block.datatype, datatype)
            block.width, block.boolean = _WIDTHS[spec.datatype], spec.datatype == "BOOL"
            block.dims = len(spec.shape)
            block.shape[0 : len(spec.shape)] = spec.shape
            self._set(block.field, _field(1, name) + _field(2, datatype))
            described = {"datatype": spec.datatype, "name": spec.name, "shape": []}
            header = json.dumps(described, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            self._set(block.header, ("," + header[1:-2]).encode())
        return blocks

    def _set(self, text: Any, content: bytes) -> None:
        memory = ffi.new("uint8_t[]", content or b"\0")
        self._keep.append(memory)
        text.at, text.size = memory, len(content)


class Table:
    """Routes by (model, version text); immutable."""

    __slots__ = ("_keep", "block")

    def __init__(self, routes: Mapping[tuple[str, str], Route]) -> None:
        slots = 1 << (2 * len(routes) + 1).bit_length()
        entries = ffi.new("oip_entry[]", slots)
        # All texts in one block, one after the other: a table is made anew with every snapshot.
        names = [(model.encode(), version.encode()) for model, version in routes]
        texts = ffi.new("uint8_t[]", b"".join(text for pair in names for text in pair) + b"\0")
        self._keep = (entries, texts, tuple(routes.values()))
        self.block: Any = ffi.new("oip_table *")
        self.block.slots, self.block.entries = slots, entries
        at = 0
        for (model, version), route in zip(names, routes.values(), strict=True):
            middle, end = at + len(model), at + len(model) + len(version)
            if not lib.oip_table_put(self.block, texts + at, len(model), texts + middle, len(version), route.block):
                raise ValueError(f"routes: {model!r}, {version!r} has no room")
            at = end


def raw_field(size: int) -> bytes:
    """Return what stands before so many bytes of raw output contents in a ModelInferResponse."""
    return b"\x32" + _varint(size)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _entry(name: str, value: str | int) -> bytes:
    """Return an entry of a map of InferParameter: `int64_param` is its field 2, `string_param` 3."""
    held = b"\x10" + _varint(value) if isinstance(value, int) else _field(3, value.encode())
    return _field(1, name.encode()) + _field(2, held)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
