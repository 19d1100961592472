"""Artifacts on their way in and out: the rules of a stream, with the disk's work on threads.

The content store does the bytes; this decides what a chunk may say and what a cut leaves.
"""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from neuralmesh_server.errors import AbortedError, InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

T = TypeVar("T")

THREADS = 4
EMPTY = f"sha256:{hashlib.sha256().hexdigest()}"
"""Digest of the artifact without bytes."""


class Incoming(Protocol):
    """One artifact on its way in; see `content_store.Upload`."""

    offset: int

    def write(self, data: bytes) -> None:
        """Append bytes."""

    def finish(self) -> None:
        """Verify and show the artifact."""

    def close(self) -> None:
        """Keep what is there for a resume."""


class Content(Protocol):
    """Where artifacts are kept; see `content_store.ContentStore`."""

    def has(self, digest: str) -> bool:
        """Say whether an artifact is complete."""

    def size(self, digest: str) -> int:
        """Return the size of a complete artifact; raises ARTIFACT_NOT_FOUND."""

    def committed(self, digest: str) -> int:
        """Return how much of an incomplete artifact is stored."""

    def open_upload(self, digest: str, size: int) -> Incoming:
        """Begin or resume an upload."""

    def read(self, digest: str, offset: int = 0, length: int = 0) -> Iterator[bytes]:
        """Yield a range."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an upload; digest and size count in the first one."""

    digest: str
    size: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of an artifact."""

    digest: str
    committed: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a download; `size` is that of the whole artifact."""

    offset: int
    data: bytes
    size: int


class Transfers:
    """Takes and gives artifacts.

    Args:
        content: Where they are kept.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="registry-disk")

    def close(self) -> None:
        """Wait for what the disk is doing."""
        self._threads.shutdown()

    async def stored(self, digest: str) -> Stored:
        """Say what is stored of an artifact."""
        return await self._run(lambda: self._stored(digest))

    async def missing(self, digests: list[str]) -> list[str]:
        """Return those that are not stored completely, in order."""
        return await self._run(lambda: [digest for digest in digests if not self._content.has(digest)])

    async def sizes(self, digests: tuple[str, ...]) -> dict[str, int]:
        """Return the size of each of the given artifacts that is stored completely."""
        stored = await self._run(lambda: [self._stored(digest) for digest in digests])
        return {found.digest: found.committed for found in stored if found.complete}

    async def upload(self, chunks: AsyncIterator[Chunk]) -> Stored:
        """Take an artifact in; a stream that ends early leaves its part for a resume.

        Raises:
            InvalidArgumentError: FIELD_INVALID.
            AbortedError: UPLOAD_OFFSET_MISMATCH or UPLOAD_IN_PROGRESS.
            FailedPreconditionError: DIGEST_MISMATCH.
            ResourceExhaustedError: STORAGE_FULL or LIMIT_EXCEEDED.
        """
        first = await anext(chunks, None)
        if first is None:
            raise InvalidArgumentError("FIELD_INVALID", "the stream has no message", field="digest")
        if first.size == 0 and first.digest != EMPTY:
            raise InvalidArgumentError(
                "FIELD_INVALID", "the first message does not give size_bytes", field="size_bytes"
            )
        stored = await self.stored(first.digest)
        if stored.complete:
            if first.size != stored.committed:
                raise InvalidArgumentError(
                    "FIELD_INVALID",
                    f"size_bytes is {first.size}; artifact {first.digest} has {stored.committed} bytes",
                    field="size_bytes",
                    size=first.size,
                    digest=first.digest,
                    stored=stored.committed,
                )
            return stored
        incoming = await self._open(first)
        try:
            return await self._receive(incoming, first, chunks)
        finally:
            await asyncio.shield(self._run(incoming.close))

    async def download(self, digest: str, offset: int, length: int) -> AsyncIterator[Piece]:
        """Give a range out in pieces of at most 1 MiB.

        Raises:
            NotFoundError: ARTIFACT_NOT_FOUND.
            InvalidArgumentError: FIELD_INVALID, the offset is beyond the end.
            DataLossError: ARTIFACT_CORRUPT.
        """
        size = await self._run(lambda: self._content.size(digest))
        pieces = await self._run(lambda: self._content.read(digest, offset, length))
        while (data := await self._run(lambda: next(pieces, None))) is not None:
            yield Piece(offset, data, size)
            offset += len(data)

    async def _open(self, first: Chunk) -> Incoming:
        opening = self._threads.submit(self._content.open_upload, first.digest, first.size)
        try:
            return await asyncio.shield(asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise

    async def _receive(self, incoming: Incoming, first: Chunk, chunks: AsyncIterator[Chunk]) -> Stored:
        chunk: Chunk | None = first
        while chunk is not None:
            _check(chunk, first, incoming.offset)
            if chunk.data:
                data = chunk.data
                await self._run(lambda data=data: incoming.write(data))  # type: ignore[misc]
            if incoming.offset == first.size:
                await self._run(incoming.finish)
                return Stored(first.digest, first.size, complete=True)
            chunk = await anext(chunks, None)
        return Stored(first.digest, incoming.offset, complete=False)

    def _stored(self, digest: str) -> Stored:
        try:
            return Stored(digest, self._content.size(digest), complete=True)
        except NotFoundError:
            return Stored(digest, self._content.committed(digest), complete=False)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _check(chunk: Chunk, first: Chunk, expected: int) -> None:
    if chunk.digest not in {"", first.digest}:
        raise InvalidArgumentError(
            "FIELD_INVALID", "the digest changes within the stream", field="digest", expected=first.digest
        )
    if chunk.offset != expected:
        raise AbortedError(
            "UPLOAD_OFFSET_MISMATCH",
            f"the chunk starts at byte {chunk.offset}; artifact {first.digest} goes on at byte {expected}",
            digest=first.digest,
            expected=expected,
            actual=chunk.offset,
        )


def _close_unwanted(opening: Future[Incoming]) -> None:
    """Close an upload whose caller went away while it was opened."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
