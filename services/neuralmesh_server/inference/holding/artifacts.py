"""Brings the files of a version into the node's own store, and hands out nothing that was not verified.

The store may be shared by several processes: whoever claims an artifact fetches it, the others wait and find it there.
A cut download is resumed from its length. A file that was damaged on this disk is set aside by the store and fetched
again.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import structlog

from neuralmesh_server.errors import DataLossError, FailedPreconditionError
from neuralmesh_server.inference.links import LinkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from pathlib import Path

    from neuralmesh_server.inference.holding.records import FileRecord, VersionRecord

log = structlog.get_logger()

STALL_SECONDS = 20.0
"""The longest that a download may bring nothing; what came is kept, and it is resumed at the next attempt."""


class Upload(Protocol):
    """An artifact on its way into the store."""

    offset: int

    def write(self, data: bytes) -> None:
        """Append bytes."""

    def finish(self) -> None:
        """Verify and keep the artifact; raises DIGEST_MISMATCH."""


class ArtifactStore(Protocol):
    """Artifacts on this node by digest; all methods block."""

    def has(self, digest: str) -> bool:
        """Say whether an artifact is complete."""

    def path(self, digest: str) -> Path:
        """Return where a complete artifact is."""

    def verify(self, digest: str) -> None:
        """Raise ARTIFACT_CORRUPT when the bytes are not those of the digest, and set them aside."""

    def open_upload(self, digest: str, size: int) -> AbstractContextManager[Upload]:
        """Begin or resume an artifact."""


class Claims(Protocol):
    """Keeps the processes that share the store from working on one artifact at the same time."""

    def claim(self, digest: str) -> AbstractAsyncContextManager[None]:
        """Hold an artifact's claim; waits while another process holds it."""


class Source(Protocol):
    """Where artifacts come from."""

    def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """Yield an artifact's bytes from an offset on; raises LinkError."""


class Room(Protocol):
    """Who keeps files and makes room for them."""

    def hold(self, files: Iterable[FileRecord]) -> AbstractAsyncContextManager[None]:
        """Have room for files, and keep them within the block; raises STORAGE_FULL."""


class Artifacts:
    """The store, filled from a source as needed.

    Args:
        store: The artifacts.
        claims: Those of other processes on the same store.
        source: Where they come from.
        room: Who makes room for them; None where there is no budget.
        mistaken: Told of bytes that were not the artifact; returns whether the source may give others.
    """

    def __init__(
        self,
        store: ArtifactStore,
        claims: Claims,
        source: Source,
        *,
        room: Room | None = None,
        mistaken: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._store = store
        self._claims = claims
        self._source = source
        self._room = room
        self._mistaken = mistaken
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def files(self, record: VersionRecord) -> dict[str, Path]:
        """Return the verified files of a version by their paths in the manifest.

        Raises:
            LinkError: A file is missing here and the registry did not give it.
            NeuralMeshError: DIGEST_MISMATCH, STORAGE_FULL.
            OSError: The disk failed.
        """
        async with nullcontext() if self._room is None else self._room.hold(record.files):
            return {file.path: await self._file(file) for file in record.files}

    async def _file(self, file: FileRecord) -> Path:
        # Versions may share files, and a store takes an artifact from one writer only.
        lock = self._locks.setdefault(file.digest, asyncio.Lock())
        async with lock, self._claims.claim(file.digest):
            if not await asyncio.to_thread(self._is_sound, file.digest):
                try:
                    await self._download(file)
                except FailedPreconditionError:
                    if not self._mistaken(file.digest):
                        raise
                    await self._download(file)
            return self._store.path(file.digest)

    def _is_sound(self, digest: str) -> bool:
        if not self._store.has(digest):
            return False
        try:
            self._store.verify(digest)
        except DataLossError as error:
            log.warning("artifact_damaged", digest=digest, why=error.message)
            return False
        return True

    async def _download(self, file: FileRecord) -> None:
        with await asyncio.to_thread(self._store.open_upload, file.digest, file.size) as upload:
            if upload.offset < file.size:
                async for data in steadily(self._source.download(file.digest, upload.offset), file.path):
                    await asyncio.to_thread(upload.write, data)
            await asyncio.to_thread(upload.finish)


async def steadily(pieces: AsyncIterator[bytes], what: str, seconds: float = 0.0) -> AsyncIterator[bytes]:
    """Yield the pieces of a download; raises LinkError when none comes for too long, 0 for `STALL_SECONDS`."""
    seconds = seconds or STALL_SECONDS
    try:
        while True:
            async with asyncio.timeout(seconds):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece
    except TimeoutError as error:
        why = f"{what}: nothing came for {seconds:g} seconds"
        raise LinkError("PEER_UNREACHABLE", why, unreachable=True) from error
