"""What an edge node remembers beside its replica: the highest revision that it applied, and how long it heard nothing.

The revision stands in the replica's file as well; here it outlives a replica that is damaged.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from neuralmesh_server.inference.holding.follower import to_the_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.inference.edge.silence import Silence

log = structlog.get_logger()

AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is kept.

    Attributes:
        highest: Highest revision that was applied.
        silent_seconds: None when the registry was never heard.
        event_hash: What the registry said of the event of `highest`, which names its history; empty where not known.
    """

    highest: int = 0
    silent_seconds: float | None = None
    event_hash: bytes = b""


class MemoryStore(Protocol):
    """Where it is kept; all methods block."""

    def load(self) -> Remembered:
        """Return what was kept; nothing where there is none or it is damaged."""

    def save(self, remembered: Remembered) -> None:
        """Keep it durably; raises OSError."""


class Memory:
    """Keeps it: one write at a time, the newest only; again where that failed.

    Args:
        store: Where it is kept.
        kept: What was kept when the node last ran.
        revision: The revision of the state that it starts with.
        silence: What is counted.
        saved: Called after each write, on the loop.

    Attributes:
        highest: Highest revision that the node ever applied.
        event_hash: What the registry said of its event; empty where not known.
        kept: The same, on the disk.
    """

    def __init__(
        self, store: MemoryStore, kept: Remembered, revision: int, silence: Silence, saved: Callable[[], None]
    ) -> None:
        self._store = store
        self._silence = silence
        self._on_saved = saved
        self._dirty = asyncio.Event()
        self._keeping = asyncio.Lock()
        self.highest = max(kept.highest, revision)
        self.event_hash = kept.event_hash if kept.highest == self.highest else b""
        self.kept = kept.highest
        if self.kept < self.highest:
            self.mark()

    def applied(self, revision: int, event_hash: bytes) -> None:
        """Take note of an applied revision, and of what the registry says of its event."""
        if revision >= self.highest:
            self.highest, self.event_hash = revision, event_hash
        self.mark()

    def mark(self) -> None:
        """Take note that there is something to keep."""
        self._dirty.set()

    async def run(self) -> None:
        """Keep until cancelled."""
        while True:
            await self._dirty.wait()
            if not await self.keep(coarse=True):
                await asyncio.sleep(AGAIN_SECONDS)
                self._dirty.set()

    async def keep(self, *, coarse: bool = False) -> bool:
        """Write now, the silence to the second or only its step; returns whether it is kept."""
        async with self._keeping:
            return await self._keep(coarse=coarse)

    async def _keep(self, *, coarse: bool) -> bool:
        self._dirty.clear()
        seconds = self._silence.seconds
        silent = None if seconds is None else float(self._silence.step) if coarse else seconds
        highest, event_hash = self.highest, self.event_hash
        try:
            await to_the_end(lambda: self._store.save(Remembered(highest, silent, event_hash)))
        except OSError as error:
            log.warning("edge_memory_not_kept", why=str(error))
            return False
        self.kept = highest
        self._on_saved()
        return True
