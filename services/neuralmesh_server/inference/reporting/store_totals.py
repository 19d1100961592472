"""The totals of a worker's versions in files that its siblings read: one file a version, mapped into memory.

A file begins with one page that says whose totals follow, `{"model":...,"version":...,"digest":...}` and zeros; then
come the blocks that the worker's threads count in (`oip_stats` in native/include/oip.h). Only its worker writes a file,
and nothing is made durable: totals are those of the running processes. A file stays when its worker lets go of the
memory.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import shutil
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.inference.reporting.activity import ACTIVITY_BYTES, VersionActivity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger()

HEADER_BYTES = 4096
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class SharedTotals:
    """Where one worker keeps its totals, and finds those of the others.

    Args:
        folder: Folder that the workers share; each has a folder with its number in it.
        worker: Number of this worker, from 1. What an earlier process of this number left is removed.
        workers: How many there are.
    """

    def __init__(self, folder: Path, worker: int, workers: int) -> None:
        self._others = [folder / str(number) for number in range(1, workers + 1) if number != worker]
        self._own = folder / str(worker)
        if self._own.exists():
            shutil.rmtree(self._own)
        self._own.mkdir(mode=0o700, parents=True)
        self._made = 0

    def block(self, model: str, version: int, digest: str, size: int) -> memoryview:
        """Return memory for the totals of a version, all zero, which siblings see from now on.

        Where the disk has no room they are this process's alone.
        """
        header = json.dumps({"model": model, "version": version, "digest": digest}).encode()
        self._made += 1
        place = self._own / f"{self._made}.totals"
        try:
            mapped = _map_new(place, header, HEADER_BYTES + size)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            log.warning("totals_not_shared", model=model, version=version, why=error.strerror)
            return memoryview(bytearray(size))
        return memoryview(mapped)[HEADER_BYTES:]

    def activities(self) -> list[VersionActivity]:
        """Return copies of what the siblings' versions did up to now."""
        return [found for folder in self._others for found in _read(folder)]


def _map_new(place: Path, header: bytes, size: int) -> mmap.mmap:
    """Return a new file in memory, all of whose bytes the disk has: writing to others would kill the process."""
    beside = place.with_suffix(".tmp")
    file = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(file, 0, size)
        os.write(file, header)
        mapped = mmap.mmap(file, size)
    except BaseException:
        beside.unlink()
        raise
    finally:
        os.close(file)
    beside.rename(place)
    return mapped


def _read(folder: Path) -> Iterator[VersionActivity]:
    for path in sorted(folder.glob("*.totals")):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # its worker began anew a moment ago
            continue
        if len(content) != HEADER_BYTES + ACTIVITY_BYTES:
            log.warning("totals_ignored", path=str(path), size=len(content))
            continue
        said = json.loads(content[:HEADER_BYTES].rstrip(b"\0"))
        memory = bytearray(content[HEADER_BYTES:])
        yield VersionActivity(said["model"], said["version"], said["digest"], memory=memory)
