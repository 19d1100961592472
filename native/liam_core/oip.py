"""The serving codec of `native/include/oip.h`, bound: what its structs point to is made and kept alive here.

`answer` is the way of every request, so it is one C call; everything else prepares it. Nothing here locks: one thread
uses a codec and what belongs to it. What it counts and keeps stands in `oip_blocks`.
"""

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from liam_core.kernel import aligned_bytes, ffi, lib
from liam_core.network import BinaryNetwork
from liam_core.oip_blocks import ID_TEXT, RECEIPT, RING_BYTES, STATS_BYTES, Labels, Receipts, Stats, as_array

__all__ = [
    "ALL",
    "BEGUN",
    "MAX_DIMS",
    "MAX_TENSORS",
    "RECEIPT",
    "RING_BYTES",
    "STATS_BYTES",
    "Codec",
    "Kept",
    "Labels",
    "Parts",
    "Receipts",
    "Route",
    "Spec",
    "Stats",
    "Table",
    "answer",
    "new_call",
    "raw_field",
    "read",
]

ALL: Final = 2**64 - 1
"""The share of predictions that get a receipt, as a number of 64 bits: all of them."""
BEGUN: Final[int] = lib.OIP_BEGUN
MAX_TENSORS: Final[int] = lib.OIP_MAX_TENSORS
MAX_DIMS: Final[int] = lib.OIP_MAX_DIMS
ANSWER_BYTES: Final = 1 << 18
"""Answers of packed networks up to this size, and everything but the outputs of others, are written by the codec."""

_BYTES: Final = ffi.typeof("uint8_t[]")
_from_buffer: Final = ffi.from_buffer
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
        parameters: Name and text of each parameter of an answer; the prediction id comes on top.
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

    __slots__ = ("_keep", "block", "owner")

    def __init__(
        self,
        *,
        model: str,
        version: str,
        parameters: Mapping[str, str],
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
        self._keep: list[Any] = [stats, network]
        self.owner = owner
        self.block: Any = ffi.new("oip_route *")
        block = self.block
        block.input, block.inputs = self._specs(inputs), len(inputs)
        block.output, block.outputs = self._specs(outputs), len(outputs)
        if network is not None:
            block.network, block.classes = network.handle, network.classes
        block.label, block.max_rows = label, max_rows
        self._set(block.head, _field(1, model.encode()) + _field(2, version.encode()))
        fixed = b"".join(_field(4, _entry(name, text.encode())) for name, text in parameters.items())
        # The id's last characters are written for each answer.
        named = _field(4, _entry("prediction_id", issuer.encode() + bytes(ID_TEXT)))[:-ID_TEXT]
        self._set(block.parameters, fixed + named)
        ffi.memmove(block.subject, subject, lib.OIP_SUBJECT_BYTES)
        block.stats, block.owner = stats.block, owner
        block.flags = lib.OIP_RECEIPT_BIT_EXACT if bit_exact else 0
        block.receipts = receipts

    def renewed(self, subject: bytes, receipts: int) -> "Route":
        """Return the same route under another subject and share of receipts; it shares everything else."""
        route = copy(self)
        route.block = ffi.new("oip_route *", self.block[0])
        ffi.memmove(route.block.subject, subject, lib.OIP_SUBJECT_BYTES)
        route.block.receipts = receipts
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


class Codec:
    """Answers requests.

    Args:
        node: Name of the node; `key` its secret, `epoch_ms` and `started_ns` when its process began, on the clock and
            on the monotonic one.
        sequence: 8 bytes, aligned, that hold the last number of a prediction; others may issue ids as well.
        labels: Where labels go, `receipts` where receipts go.

    Attributes:
        block: The C struct.
        written: The answer, as a buffer whose slices are bytes.
    """

    __slots__ = ("_answer", "_blocks", "_keep", "_results", "_scratch", "block", "written")

    def __init__(
        self,
        *,
        node: str,
        key: bytes,
        epoch_ms: int,
        started_ns: int,
        sequence: Any,
        labels: Labels | None,
        receipts: Receipts | None,
    ) -> None:
        self.block: Any = ffi.new("oip_server *")
        last = ffi.from_buffer("uint64_t[]", as_array(sequence), require_writable=True)
        self._keep = (labels, receipts, last)
        name = node.encode()
        if not lib.oip_issuer_init(
            ffi.addressof(self.block, "issuer"), key, len(key), name, len(name), epoch_ms, started_ns, last
        ):
            raise ValueError(f"no prediction ids for node {node!r} with a key of {len(key)} bytes")
        self.block.labels = ffi.NULL if labels is None else labels.block
        self.block.receipts = ffi.NULL if receipts is None else receipts.block
        self._answer = ffi.new("uint8_t[]", ANSWER_BYTES)
        self.block.answer, self.block.answer_bytes = self._answer, ANSWER_BYTES
        self.written: Any = ffi.buffer(self._answer)
        self._results: Any = ffi.new("oip_result[]", MAX_TENSORS)
        self._blocks = [self._results[index] for index in range(MAX_TENSORS)]
        self._scratch: Any = None

    def reserve(self, size: int) -> None:
        """Have scratch for networks that need `size` bytes of it."""
        if size > self.block.scratch_bytes:
            self._scratch = aligned_bytes(size)
            self.block.scratch, self.block.scratch_bytes = ffi.from_buffer(self._scratch), size

    def finish(self, call: Any, data: bytes, results: Sequence[NDArray[Any]]) -> bytes | None:
        """Return the answer to a call that was begun, from all outputs of its route, in order and contiguous."""
        for block, array in zip(self._blocks, results, strict=False):
            _describe(block, array)
        return self._finish(call, data, self._results, results)

    def finish_kept(self, call: Any, data: bytes, kept: "Kept") -> bytes | None:
        """Return the answer to a call whose results stand in memory that is kept."""
        return self._finish(call, data, kept.block, kept.arrays)

    def _finish(self, call: Any, data: bytes, block: Any, results: Sequence[NDArray[Any]]) -> bytes | None:
        if lib.oip_finish(self.block, call, data, len(data), block) <= 0:
            return None
        written, parts, start = self.written, [], 0
        choices = call.choices
        for end, place in zip(call.cuts[0:choices], call.chosen[0:choices], strict=True):
            parts.append(written[start:end])
            parts.append(results[place])
            start = end
        return b"".join(parts)


class Kept:
    """Results in memory that every run of a model writes again: contiguous arrays, in the order of the route."""

    __slots__ = ("arrays", "block")

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self.arrays = tuple(arrays)
        self.block: Any = ffi.new("oip_result[]", MAX_TENSORS)
        for index, array in enumerate(self.arrays):
            _describe(self.block[index], array)


def _describe(block: Any, array: NDArray[Any]) -> None:
    block.data, block.size = _from_buffer(_BYTES, array), array.nbytes
    block.dims = dims = array.ndim
    block.shape[0:dims] = array.shape


@dataclass(frozen=True, slots=True)
class Parts:
    """A request that was read.

    Attributes:
        inputs: Name, datatype, shape and raw elements of each input; the elements are views of the request.
        outputs: Names of the outputs that are asked for.
    """

    model: str
    version: str
    id: str
    inputs: tuple[tuple[str, str, tuple[int, ...], memoryview], ...]
    outputs: tuple[str, ...]


def read(data: bytes) -> Parts | None:
    """Return what stands in a ModelInferRequest; None for one with parameters, and for what the codec passes."""
    request = ffi.new("oip_request *")
    if not lib.oip_read(data, len(data), request) or request.parameters:
        return None
    whole = memoryview(data)

    def view(span: Any) -> memoryview:
        return whole[span.at : span.at + span.size]

    def text(span: Any) -> str:
        return str(view(span), "utf-8")

    return Parts(
        text(request.model),
        text(request.version),
        text(request.id),
        tuple(
            (text(one.name), text(one.datatype), tuple(one.shape[0 : one.dims]), view(one.raw))
            for one in request.input[0 : request.inputs]
        ),
        tuple(text(one) for one in request.output[0 : request.outputs]),
    )


def new_call() -> Any:
    """Return memory for one request on its way, an `oip_call`."""
    return ffi.new("oip_call *")


answer: Final = lib.oip_answer
"""`oip_answer(codec.block, table.block, call, data, len(data))`, called as it is: this is the way of every request."""


def raw_field(size: int) -> bytes:
    """Return what stands before so many bytes of raw output contents in a ModelInferResponse."""
    return b"\x32" + _varint(size)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _entry(name: str, text: bytes) -> bytes:
    return _field(1, name.encode()) + _field(2, _field(3, text))


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
