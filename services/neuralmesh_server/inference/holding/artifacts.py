"""Brings the files of a version into the node's own store, and hands out nothing that was not verified.

The store may be shared by several processes: whoever claims an artifact fetches it, the others wait and find it there.
A cut download is resumed from its length. A file that was damaged on this disk is set aside by the store and fetched
again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import structlog

from neuralmesh_server.errors import DataLossError
from neuralmesh_server.inference.links import LinkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from pathlib import Path

    from neuralmesh_server.inference.holding.replica import FileRecord, VersionRecord
    from neuralmesh_server.inference.links import RegistryLink

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


class Artifacts:
    """The store, filled from the registry as needed."""

    def __init__(self, store: ArtifactStore, claims: Claims, registry: RegistryLink) -> None:
        self._store = store
        self._claims = claims
        self._registry = registry
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def files(self, record: VersionRecord) -> dict[str, Path]:
        """Return the verified files of a version by their paths in the manifest.

        Raises:
            LinkError: A file is missing here and the registry did not give it.
            NeuralMeshError: DIGEST_MISMATCH, STORAGE_FULL.
            OSError: The disk failed.
        """
        return {file.path: await self._file(file) for file in record.files}

    async def _file(self, file: FileRecord) -> Path:
        # Versions may share files, and a store takes an artifact from one writer only.
        lock = self._locks.setdefault(file.digest, asyncio.Lock())
        async with lock, self._claims.claim(file.digest):
            if not await asyncio.to_thread(self._is_sound, file.digest):
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
                async for data in _steadily(self._registry.download(file.digest, upload.offset), file.path):
                    await asyncio.to_thread(upload.write, data)
            await asyncio.to_thread(upload.finish)


async def _steadily(pieces: AsyncIterator[bytes], path: str) -> AsyncIterator[bytes]:
    """Yield the pieces of a download; raises LinkError when none comes for too long."""
    seconds = STALL_SECONDS
    try:
        while True:
            async with asyncio.timeout(seconds):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece
    except TimeoutError as error:
        why = f"{path}: nothing came for {seconds:g} seconds"
        raise LinkError("PEER_UNREACHABLE", why, unreachable=True) from error
