"""Room for artifacts on an edge node: a budget in bytes, and what goes when something new has to come.

What goes first is what nothing can use: damaged artifacts and partial ones that nobody fetches. Then goes what was used
least recently, but never a file of a version that answers, that an alias names or that a rollback would bring back, and
none of a version that is being fetched.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from neuralmesh_server.errors import ResourceExhaustedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping

    from neuralmesh_server.inference.holding.records import FileRecord

log = structlog.get_logger()

MARGIN_BYTES = 8 * 1024 * 1024
"""Free space that artifacts leave to everything else that the node keeps."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file of the store: its bytes, and a number that grows with its last use."""

    size: int
    used: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the store holds by digest: complete, partial and damaged artifacts."""

    complete: Mapping[str, Held]
    partial: Mapping[str, Held]
    damaged: Mapping[str, Held]

    @property
    def total(self) -> int:
        """All bytes."""
        return sum(held.size for kind in (self.complete, self.partial, self.damaged) for held in kind.values())


class CacheStore(Protocol):
    """The files of the artifact store; all methods block."""

    def inventory(self) -> Inventory:
        """Return what is there."""

    def touch(self, digest: str) -> None:
        """Take note that a complete artifact is used now."""

    def remove(self, digest: str) -> None:
        """Remove a complete artifact."""

    def discard(self, digest: str) -> None:
        """Remove what there is of an artifact that is partial."""

    def clear(self, digest: str) -> None:
        """Remove the bytes of a damaged artifact, and not those that come in their place."""

    def free_bytes(self) -> int:
        """Return the free space of the disk."""


class Cache:
    """Belongs to the loop; the disk is looked at in threads, by one at a time.

    Args:
        store: The files.
        limit_bytes: Most bytes that the store may hold.
        protected: Returns the digests that must stay.

    Attributes:
        complete_bytes: Bytes of complete artifacts, as they were last looked at.
        limit_bytes: As given.
    """

    def __init__(self, store: CacheStore, limit_bytes: int, protected: Callable[[], Collection[str]]) -> None:
        self._store = store
        self._protected = protected
        self._holding: Counter[str] = Counter()
        self._sizes: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self.limit_bytes = limit_bytes
        self.complete_bytes = 0

    async def tidy(self) -> None:
        """Bring the store within its budget as far as that goes, and look at what it holds."""
        async with self._lock:
            await self._make_room(strict=False)

    @asynccontextmanager
    async def hold(self, files: Iterable[FileRecord]) -> AsyncIterator[None]:
        """Have room for files, and keep them within the block.

        Raises:
            ResourceExhaustedError: STORAGE_FULL: what must stay leaves no room.
            OSError: The disk failed.
        """
        sizes = {file.digest: file.size for file in files}
        async with self._lock:
            self._holding.update(sizes.keys())
            self._sizes.update(sizes)
            try:
                await self._make_room(strict=True)
            except BaseException:
                self._let_go(sizes)
                raise
        try:
            yield
            await asyncio.to_thread(self._used, sizes)
        finally:
            self._let_go(sizes)

    def _let_go(self, digests: Iterable[str]) -> None:
        for digest in digests:
            self._holding[digest] -= 1
            if not self._holding[digest]:
                del self._holding[digest], self._sizes[digest]

    def _used(self, digests: Iterable[str]) -> None:
        for digest in digests:
            self._store.touch(digest)
        self._count(self._store.inventory())

    async def _make_room(self, *, strict: bool) -> None:
        protected, wanted = frozenset(self._protected()), dict(self._sizes)
        making = asyncio.ensure_future(asyncio.to_thread(self._make, protected, wanted, strict))
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.gather(making, return_exceptions=True)  # one at a time looks at the disk
            raise

    def _make(self, protected: frozenset[str], wanted: Mapping[str, int], strict: bool) -> None:  # noqa: FBT001
        found = self._store.inventory()
        missing = sum(
            size - (found.partial[digest].size if digest in found.partial else 0)
            for digest, size in wanted.items()
            if digest not in found.complete
        )
        free = self._store.free_bytes()
        short = max(found.total + missing - self.limit_bytes, missing + MARGIN_BYTES - free if missing else 0)
        gone = set()
        for digest, held, remove in self._candidates(found, protected, wanted):
            if short <= 0:
                break
            remove(digest)
            gone.add(digest)
            short -= held.size
            log.info("artifact_evicted", digest=digest, bytes=held.size)
        self._count(self._store.inventory() if gone else found)
        if short > 0 and missing and strict:
            raise ResourceExhaustedError(
                "STORAGE_FULL",
                f"{missing} bytes are missing, and {short} more are needed than may go: the budget is "
                f"{self.limit_bytes} bytes, {found.total} are used, {free} are free on the disk",
                missing=missing,
                limit=self.limit_bytes,
                used=found.total,
                free=free,
            )

    def _candidates(
        self, found: Inventory, protected: frozenset[str], wanted: Mapping[str, int]
    ) -> Iterable[tuple[str, Held, Callable[[str], None]]]:
        for digest, held in found.damaged.items():
            yield digest, held, self._store.clear
        for digest, held in found.partial.items():
            if digest not in wanted and digest not in protected:
                yield digest, held, self._store.discard
        for digest, held in sorted(found.complete.items(), key=lambda item: item[1].used):
            if digest not in wanted and digest not in protected:
                yield digest, held, self._store.remove

    def _count(self, found: Inventory) -> None:
        self.complete_bytes = sum(held.size for held in found.complete.values())
