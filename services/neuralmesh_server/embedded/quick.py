"""The short way on the caller's own thread: one call into C from a request's bytes to its answer's.

It stands where a served node has its native front, and has the same part of everything: routes that follow the
snapshots, a codec, counters and receipts of its own, which the node's loop reads while it holds this off. One codec
with a lock serves all threads: who holds it is in C for a few microseconds, and a codec for each thread would need
counters for each.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from liam_core import oip

if TYPE_CHECKING:
    from collections.abc import Iterator


class CallersFront:
    """See neuralmesh_server.inference.hot_front.Front; everything may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._call = oip.new_call()
        self._codec: oip.Codec | None = None
        self._table: oip.Table | None = None
        self._holding: object = None
        self._block: Any = None
        self._routes: Any = None
        self._written: Any = None

    def serve(self, codec: oip.Codec, table: oip.Table, holding: object) -> None:
        """Answer with these from now on; those before are out of use when it returns."""
        with self._lock:
            self._codec, self._table, self._holding = codec, table, holding
            self._block, self._routes, self._written = codec.block, table.block, codec.written

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold callers off, between two requests."""
        with self._lock:
            yield

    def close(self) -> None:
        """Answer nothing more."""
        with self._lock:
            self._codec = self._table = self._holding = self._block = self._routes = self._written = None

    def answer(self, data: bytes) -> bytes | None:
        """Return the answer to the bytes of a ModelInferRequest, or None when it takes another way."""
        with self._lock:
            if self._block is None:
                return None
            size = oip.answer(self._block, self._routes, self._call, data, len(data))
            if size <= 0:
                return None
            answer: bytes = self._written[:size]
            return answer
