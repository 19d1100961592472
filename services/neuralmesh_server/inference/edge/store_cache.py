"""The files of a content store as something that may go: sizes, last uses, removal.

The order of last uses is that of the files' times, each set to a number above every one before, so that a clock that
jumps does not turn it round.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from neuralmesh_server.inference.edge.cache import Held, Inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def free_bytes(folder: Path) -> int:
    """Return the free space of a folder's disk, as far as this process may use it."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class CacheFolder:
    """See neuralmesh_server.inference.edge.cache.CacheStore.

    Args:
        root: The folder of a ContentStore.
        free: Returns the free space of a folder's disk.
    """

    def __init__(self, root: Path, free: Callable[[Path], int] = free_bytes) -> None:
        self._root = root
        self._free = free
        self._lock = threading.Lock()
        self._last = max((held.used for held in self.inventory().complete.values()), default=0)

    def inventory(self) -> Inventory:
        """Return what is there."""
        complete: dict[str, Held] = {}
        for shard in sorted(self._root.glob("sha256/*")):
            complete.update(_files(shard))
        return Inventory(complete, dict(_files(self._root / "partial")), dict(_files(self._root / "damaged")))

    def touch(self, digest: str) -> None:
        """Take note that a complete artifact is used now."""
        with self._lock:
            self._last = max(time.time_ns(), self._last + 1_000_000)
            try:
                os.utime(self._complete(digest), ns=(self._last, self._last))
            except FileNotFoundError:
                return

    def remove(self, digest: str) -> None:
        """Remove a complete artifact."""
        self._complete(digest).unlink(missing_ok=True)

    def discard(self, digest: str) -> None:
        """Remove what there is of an artifact that is partial."""
        self._beside("partial", digest).unlink(missing_ok=True)

    def clear(self, digest: str) -> None:
        """Remove the bytes of a damaged artifact, and not those that come in their place."""
        self._beside("damaged", digest).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return the free space of the disk."""
        return self._free(self._root)

    def _beside(self, folder: str, digest: str) -> Path:
        return self._root / folder / digest.removeprefix("sha256:")

    def _complete(self, digest: str) -> Path:
        digits = digest.removeprefix("sha256:")
        return self._root / "sha256" / digits[:2] / digits


def _files(folder: Path) -> Iterator[tuple[str, Held]]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                found = entry.stat()
            except FileNotFoundError:  # renamed a moment ago
                continue
            if entry.is_file():
                yield f"sha256:{entry.name}", Held(found.st_size, found.st_mtime_ns)
