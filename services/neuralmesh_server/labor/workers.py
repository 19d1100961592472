"""Workers that were ever heard: what is kept of them, and how they come out of quarantine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.labor.records import KnownWorker, WorkerView

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.labor.desk import WorkerCard
    from neuralmesh_server.labor.roster import Roster
    from neuralmesh_server.labor.store import Ledger, Store


class Workers:
    """All workers.

    Args:
        store: Where they are kept.
        roster: Those that live.
        wake: Lets workers look again that wait for work.
        clock: Returns the time of the monotonic clock in seconds.
        wall: Returns the time in seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        roster: Roster,
        *,
        wake: Callable[[], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._roster = roster
        self._wake = wake
        self._clock = clock
        self._wall = wall

    async def start(self) -> None:
        """Remember who is in quarantine."""
        known = await self._store.read(lambda view: view.workers())
        self._roster.quarantined.update(worker.name for worker in known if worker.quarantined)

    async def note(self, card: WorkerCard, heard: float | None = None) -> None:
        """Keep what a worker is and when it was heard, on the monotonic clock; None for now."""
        seconds = 0.0 if heard is None else self._clock() - heard
        seen = int((self._wall() - seconds) * 1000)
        known = KnownWorker(card.name, card.host, card.slots, card.numerics, 0, quarantined=False, seen_ms=seen)
        await self._store.write(lambda ledger: ledger.put_worker(known))

    async def list(self) -> list[WorkerView]:
        """Return all workers in byte order of their names."""
        known = await self._store.read(lambda view: view.workers())
        return [self._view(worker) for worker in known]

    async def release(self, name: str) -> WorkerView:
        """Let a quarantined worker work again."""

        def change(ledger: Ledger) -> KnownWorker:
            known = ledger.worker(name)
            if known is None:
                raise InvalidArgumentError("FIELD_INVALID", f"no worker {name!r} was ever heard", field="worker")
            ledger.set_quarantined(name, value=False)
            return replace(known, quarantined=False)

        worker = await self._store.write(change)
        self._roster.quarantined.discard(name)
        self._roster.changes += 1
        self._wake()
        return self._view(worker)

    def _view(self, worker: KnownWorker) -> WorkerView:
        """Return a worker with what is known of it at this moment."""
        present = self._roster.get(worker.name)
        if present is None:
            return WorkerView(worker, live=False)
        seconds = 0.0 if present.asking else self._clock() - present.heard
        return WorkerView(replace(worker, seen_ms=int((self._wall() - seconds) * 1000)), live=True)
