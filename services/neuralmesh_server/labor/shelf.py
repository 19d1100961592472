"""Outputs, plans and manifests in the content store: the disk's work on threads, one writer of a digest at a time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from neuralmesh_server.content_store import CHUNK_BYTES
from neuralmesh_server.errors import FailedPreconditionError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

T = TypeVar("T")

THREADS = 4
FRESH = 1000
"""Artifacts that were stored last and are known to be there."""
FRESH_SECONDS = 60.0
"""For how long; far less than files are young for (see `retention`)."""

PIECE_SECONDS = 30.0
"""Longest wait for the next piece of an artifact: whoever sends none holds up others that bring the same bytes."""


class Incoming(Protocol):
    """One artifact on its way in; see `content_store.Upload`."""

    offset: int

    def write(self, data: bytes) -> None:
        """Append bytes."""

    def finish(self) -> None:
        """Verify and show the artifact."""

    def close(self) -> None:
        """End the upload."""


class Content(Protocol):
    """Where bytes are kept; see `content_store.ContentStore`."""

    def has(self, digest: str) -> bool:
        """Say whether an artifact is complete."""

    def size(self, digest: str) -> int:
        """Return the size of a complete artifact; raises ARTIFACT_NOT_FOUND."""

    def committed(self, digest: str) -> int:
        """Return how many bytes of an incomplete artifact are stored."""

    def open_upload(self, digest: str, size: int) -> Incoming:
        """Begin or resume an upload."""

    def read(self, digest: str, offset: int = 0, length: int = 0) -> Iterator[bytes]:
        """Yield a range; a read of the whole is verified."""

    def older_than(self, before: float) -> list[str]:
        """Return the complete artifacts that were stored or touched before a time."""

    def touch(self, digest: str) -> None:
        """Make a complete artifact as young as one that is stored now."""

    def remove(self, digest: str, before: float) -> bool:
        """Remove a complete artifact unless it is younger; says whether it did."""

    def discard_partials(self, before: float) -> None:
        """Remove what uploads have left that ended before a time."""


class Shelf:
    """Everything that is named by its bytes.

    Args:
        content: Where they are kept.
        piece_seconds: Longest wait for the next piece of what comes in pieces.
    """

    def __init__(self, content: Content, *, piece_seconds: float = PIECE_SECONDS) -> None:
        self._content = content
        self._piece_seconds = piece_seconds
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="labor-shelf")
        self._fresh: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    async def put(self, data: bytes) -> str:
        """Store bytes; returns their digest. Raises STORAGE_FULL."""
        digest = await self.call(lambda: "sha256:" + hashlib.sha256(data).hexdigest())
        await self.put_pieces(digest, len(data), _once(data))
        return digest

    async def put_file(self, digest: str, path: Path) -> None:
        """Store the bytes of a file.

        Raises:
            FailedPreconditionError: DIGEST_MISMATCH.
            ResourceExhaustedError: STORAGE_FULL.
        """
        async with self._alone(digest):
            self._remember(digest, await self.call(lambda: self._copy(digest, path)))

    async def put_pieces(self, digest: str, size: int, pieces: AsyncIterator[bytes]) -> None:
        """Store bytes as they come; those of a digest that is stored are not read to their end.

        Raises:
            FailedPreconditionError: DIGEST_MISMATCH.
            InvalidArgumentError: DIGEST_INVALID, or there are more bytes than `size`.
            ResourceExhaustedError: STORAGE_FULL or LIMIT_EXCEEDED.
            UnavailableError: PEER_UNREACHABLE, a piece is too long in coming.
        """
        async with self._alone(digest):
            if await self.call(lambda: self._has(digest)):
                return
            async with self._incoming(digest, size) as upload:
                async for piece in self._in_time(digest, pieces):
                    await self.call(functools.partial(upload.write, piece))
                await self.call(upload.finish)
                self._remember(digest, size)

    async def _in_time(self, digest: str, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield pieces as they come. A worker that stops in the middle may never come to an end that anybody sees."""
        while True:
            try:
                async with asyncio.timeout(self._piece_seconds):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                why = f"no further bytes of {digest} came within {self._piece_seconds:g} seconds"
                raise UnavailableError("PEER_UNREACHABLE", why, digest=digest) from error
            if piece is None:
                return
            yield piece

    async def has(self, digest: str, size: int) -> bool:
        """Say whether an artifact is stored with this size; of one that was stored just now, without a look."""
        known, stored = self._fresh.get(digest, (-1, 0.0))
        if known == size and time.monotonic() - stored < FRESH_SECONDS:
            return True
        async with self._alone(digest):
            return await self.call(lambda: self._has(digest) and self._content.size(digest) == size)

    async def all_there(self, digests: Iterable[str]) -> set[str]:
        """Return those that are stored."""
        wanted = list(digests)
        return await self.call(lambda: {digest for digest in wanted if self._content.has(digest)})

    async def get(self, digest: str) -> bytes:
        """Return verified bytes. Raises ARTIFACT_NOT_FOUND or ARTIFACT_CORRUPT."""
        return await self.call(lambda: b"".join(self._content.read(digest)))

    async def read(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Yield bytes from an offset on, in pieces of at most 1 MiB."""
        pieces = await self.call(lambda: self._content.read(digest, offset))
        while (piece := await self.call(lambda: next(pieces, None))) is not None:
            yield piece

    async def older_than(self, before: float) -> list[str]:
        """Return the artifacts that were stored, or were found to be stored when they came again, before a time."""
        return await self.call(lambda: self._content.older_than(before))

    async def remove(self, digest: str, before: float) -> bool:
        """Remove an artifact, unless it is younger by now or has gone; says whether it did."""
        async with self._alone(digest):
            self._fresh.pop(digest, None)
            return await self.call(lambda: self._content.remove(digest, before))

    async def discard_partials(self, before: float) -> None:
        """Remove what uploads have left that ended before a time."""
        await self.call(lambda: self._content.discard_partials(before))

    async def call(self, work: Callable[[], T]) -> T:
        """Run work on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Finish what is under way."""
        self._threads.shutdown()

    def _remember(self, digest: str, size: int) -> None:
        self._fresh[digest] = size, time.monotonic()
        if len(self._fresh) > FRESH:
            self._fresh.popitem(last=False)

    def _has(self, digest: str) -> bool:
        """Say whether an artifact is there, and keep it there for whoever is about to name it."""
        if not self._content.has(digest):
            return False
        self._content.touch(digest)
        return True

    def _copy(self, digest: str, path: Path) -> int:
        """Store a file; returns its size."""
        size = path.stat().st_size
        if self._has(digest):
            return self._content.size(digest)
        with (
            path.open("rb", buffering=0) as file,
            contextlib.closing(self._begin(digest, size)) as upload,
        ):
            while piece := file.read(CHUNK_BYTES):
                upload.write(piece)
            upload.finish()
        return size

    def _begin(self, digest: str, size: int) -> Incoming:
        """Begin an upload at its first byte.

        What another one left is not gone on with: all bytes come again in any case, and workers are not trusted, so
        that what is there may be anything, in any length, and whoever brings the right bytes would be refused for it.
        """
        left = self._content.committed(digest)
        if left:
            with (
                contextlib.closing(self._content.open_upload(digest, left)) as upload,
                contextlib.suppress(FailedPreconditionError),  # it is removed
            ):
                upload.finish()
        return self._content.open_upload(digest, size)

    @contextlib.asynccontextmanager
    async def _incoming(self, digest: str, size: int) -> AsyncIterator[Incoming]:
        """Hold an upload. A worker that is killed cancels its call at any line; an upload left open would block all."""
        opening = self._threads.submit(self._begin, digest, size)
        try:
            yield await asyncio.wrap_future(opening)
        finally:
            # Shielded, since a cancelled call takes back what no thread has begun.
            await asyncio.shield(asyncio.wrap_future(self._threads.submit(_close, opening)))

    @contextlib.asynccontextmanager
    async def _alone(self, digest: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(digest, (asyncio.Lock(), 0))
        self._locks[digest] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            users = self._locks[digest][1] - 1
            if users:
                self._locks[digest] = lock, users
            else:
                del self._locks[digest]


def _close(opening: Future[Incoming]) -> None:
    """End the upload that was or is being opened, if it is."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]
