"""Brings the files of a version into the node's own store, and hands out nothing that was not verified.

A cut download is resumed from its length. A file that was damaged on this disk is set aside by the store and fetched
again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import structlog

from neuralmesh_server.errors import DataLossError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from neuralmesh_server.inference.links import RegistryLink
    from neuralmesh_server.inference.replica import FileRecord, VersionRecord

log = structlog.get_logger()


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


class Artifacts:
    """The store, filled from the registry as needed."""

    def __init__(self, store: ArtifactStore, registry: RegistryLink) -> None:
        self._store = store
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
        async with lock:
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
                async for data in self._registry.download(file.digest, upload.offset):
                    await asyncio.to_thread(upload.write, data)
            await asyncio.to_thread(upload.finish)
