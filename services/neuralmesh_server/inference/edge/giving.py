"""Gives artifacts out to nodes further down the line, also those that are only on their way here.

A move reaches a whole site at once, so that the others ask while this node fetches: they get what has come so far as it
comes. It is not verified yet; whoever asked does that.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

LOOK_SECONDS = 0.02
"""Time between two looks at what is on its way."""
UNKNOWN_SECONDS = 0.3
"""How long an artifact of which this node knows nothing may become known: states do not reach all nodes at once."""
STILL_SECONDS = 1.0
"""How long one that it knows may not grow."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of an artifact: where they start, and the size of the whole."""

    offset: int
    data: bytes
    size: int


class Readable(Protocol):
    """The artifacts of a node; all methods block."""

    def has(self, digest: str) -> bool:
        """Say whether an artifact is complete."""

    def committed(self, digest: str) -> int:
        """Return how many bytes of one that is not are there."""

    def read_partial(self, digest: str, offset: int) -> bytes:
        """Return some of these bytes, at most 1 MiB; nothing where there are none."""

    def size(self, digest: str) -> int:
        """Return the size in bytes; raises ARTIFACT_NOT_FOUND."""

    def read(self, digest: str, offset: int = 0, length: int = 0) -> Iterator[bytes]:
        """Yield a range in chunks of at most 1 MiB; a read of the whole is verified."""


class Giving:
    """Reads in threads.

    Args:
        store: The artifacts.
        size_of: Returns the size of an artifact that this node knows of, 0 for none.
    """

    def __init__(self, store: Readable, size_of: Callable[[str], int] = lambda _: 0) -> None:
        self._store = store
        self._size_of = size_of

    async def pieces(self, digest: str, offset: int) -> AsyncIterator[Piece]:
        """Give an artifact out from an offset on.

        Raises:
            NotFoundError: ARTIFACT_NOT_FOUND: it is not here, and does not come.
            InvalidArgumentError: FIELD_INVALID, the offset is beyond the end.
            DataLossError: ARTIFACT_CORRUPT.
        """
        async for piece in self._coming(digest, offset):
            yield piece
            offset = piece.offset + len(piece.data)
        size = await asyncio.to_thread(self._store.size, digest)
        pieces = await asyncio.to_thread(self._store.read, digest, offset)
        while (data := await asyncio.to_thread(next, pieces, None)) is not None:
            yield Piece(offset, data, size)
            offset += len(data)

    async def _coming(self, digest: str, offset: int) -> AsyncIterator[Piece]:
        """Give out what comes, until the artifact is complete or comes no more."""
        loop = asyncio.get_running_loop()
        grown, since = 0, loop.time()
        while not await asyncio.to_thread(self._store.has, digest):
            size = self._size_of(digest)
            data = await asyncio.to_thread(self._store.read_partial, digest, offset) if size else b""
            if data:
                yield Piece(offset, data, size)
                offset += len(data)
                since = loop.time()
                continue
            here = await asyncio.to_thread(self._store.committed, digest)
            if here > grown:
                grown, since = here, loop.time()
            elif loop.time() - since > (STILL_SECONDS if size else UNKNOWN_SECONDS):
                return
            await asyncio.sleep(LOOK_SECONDS)
