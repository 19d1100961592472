"""The serving codec of `native/include/oip.h`, bound: what its structs point to is made and kept alive here.

`answer` is the way of every request, so it is one C call; everything else prepares it. Nothing here locks: one thread
uses a codec and what belongs to it; only `Numbers` may be shared. What it answers with stands in `oip_routes`, what it
counts and keeps in `oip_blocks`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from liam_core.kernel import aligned_bytes, ffi, lib
from liam_core.oip_blocks import RECEIPT, RING_BYTES, STATS_BYTES, HeldLabels, Labels, Numbers, Receipts, Stats
from liam_core.oip_routes import MAX_DIMS, MAX_TENSORS, Route, Spec, Table, raw_field
from liam_core.oip_runners import Runner

__all__ = [
    "ALL",
    "BEGUN",
    "LONG",
    "MAX_DIMS",
    "MAX_TENSORS",
    "RECEIPT",
    "RING_BYTES",
    "STATS_BYTES",
    "Codec",
    "HeldLabels",
    "Kept",
    "Labels",
    "Numbers",
    "Parts",
    "Receipts",
    "Route",
    "Runner",
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
LONG: Final[int] = lib.OIP_LONG
ANSWER_BYTES: Final = 1 << 18
"""Answers of runners up to this size, and everything but the outputs of others, are written by the codec."""

_BYTES: Final = ffi.typeof("uint8_t[]")
_from_buffer: Final = ffi.from_buffer


class Codec:
    """Answers requests.

    Args:
        node: Name of the node; `key` its secret, `epoch_ms` and `started_ns` when its process began, on the clock and
            on the monotonic one.
        numbers: Where the predictions' numbers come from; others may take some as well.
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
        numbers: Numbers,
        labels: Labels | None,
        receipts: Receipts | None,
    ) -> None:
        self.block: Any = ffi.new("oip_server *")
        self._keep = (labels, receipts, numbers)
        name = node.encode()
        if not lib.oip_issuer_init(
            ffi.addressof(self.block, "issuer"), key, len(key), name, len(name), epoch_ms, started_ns, numbers.block
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

    @property
    def scratch_bytes(self) -> int:
        """How much scratch there is for runners."""
        size: int = self.block.scratch_bytes
        return size

    def reserve(self, size: int) -> None:
        """Have scratch for runners that need `size` bytes of it; not while another thread answers with this."""
        if size > self.scratch_bytes:
            self._scratch = aligned_bytes(size)
            self.block.scratch, self.block.scratch_bytes = ffi.from_buffer(self._scratch), size

    def finish(self, call: Any, data: bytes, results: Sequence[NDArray[Any]]) -> bytes | None:
        """Return the answer to a call that was begun, from all outputs of its route, in order and contiguous."""
        for block, array in zip(self._blocks, results, strict=False):
            _describe(block, array)
        if lib.oip_finish(self.block, call, data, len(data), self._results) <= 0:
            return None
        written, parts, start = self.written, [], 0
        choices = call.choices
        for end, place in zip(call.cuts[0:choices], call.chosen[0:choices], strict=True):
            parts.append(written[start:end])
            parts.append(results[place])
            start = end
        return b"".join(parts)

    def finish_kept(self, call: Any, data: bytes, kept: "Kept") -> bytes | None:
        """Return the answer to a call whose results stand in memory that is kept, and are small."""
        size = lib.oip_finish_whole(self.block, call, data, len(data), kept.block)
        if size <= 0:
            return None
        answer: bytes = self.written[:size]
        return answer


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
