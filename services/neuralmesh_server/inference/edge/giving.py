"""Gives artifacts out to nodes further down the line."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of an artifact: where they start, and the size of the whole."""

    offset: int
    data: bytes
    size: int


class Readable(Protocol):
    """Complete artifacts; all methods block."""

    def size(self, digest: str) -> int:
        """Return the size in bytes; raises ARTIFACT_NOT_FOUND."""

    def read(self, digest: str, offset: int = 0, length: int = 0) -> Iterator[bytes]:
        """Yield a range in chunks of at most 1 MiB; a read of the whole is verified."""


class Giving:
    """Reads in threads.

    Args:
        store: The artifacts.
    """

    def __init__(self, store: Readable) -> None:
        self._store = store

    async def pieces(self, digest: str, offset: int) -> AsyncIterator[Piece]:
        """Give an artifact out from an offset on.

        Raises:
            NotFoundError: ARTIFACT_NOT_FOUND.
            InvalidArgumentError: FIELD_INVALID, the offset is beyond the end.
            DataLossError: ARTIFACT_CORRUPT.
        """
        size = await asyncio.to_thread(self._store.size, digest)
        pieces = await asyncio.to_thread(self._store.read, digest, offset)
        while (data := await asyncio.to_thread(next, pieces, None)) is not None:
            yield Piece(offset, data, size)
            offset += len(data)
