"""Waves: promotions that reach edge nodes one share after the other, each when the one before is healthy.

What was reached is an event of the log, so that desired states follow from the log alone, also after a restart. Whether
a wave is healthy is what the nodes that are connected say: all of those that it has reached must have applied their
states, without failures, for as long as the plan demands. A node that refuses or fails holds the wave; one that is
offline is not waited for, and gets what holds when it comes back. `desired.place` says in which wave a node is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.errors import ResourceExhaustedError, UnavailableError
from neuralmesh_server.registry.catalog import find_model
from neuralmesh_server.registry.ledger import record
from neuralmesh_server.registry.mesh.desired import reaches
from neuralmesh_server.registry.records import Actor, Origin
from neuralmesh_server.registry.records_mesh import EVERY_NODE_PPM, WaveReached

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.registry.mesh.fleet import Fleet
    from neuralmesh_server.registry.mesh.hub import Hub
    from neuralmesh_server.registry.records_mesh import Wave
    from neuralmesh_server.registry.store import Store, Transaction

log = structlog.get_logger()

REGISTRY = Actor("registry")
"""Who moves waves on."""

RETURN_SECONDS = 30.0
"""How long after its start a registry waits for nodes to come back before it takes those that are there for all."""

PAUSE_SECONDS = 0.05
"""Least time between two looks: nodes tell more often than a wave can move."""


class Waves:
    """Moves waves on. It belongs to one loop.

    Args:
        store: The log.
        hub: Who follows which alias.
        fleet: What nodes reported.
        clock: Milliseconds since 1970.
        monotonic: Seconds of a clock that never jumps.
        return_seconds: See RETURN_SECONDS.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        fleet: Fleet,
        clock: Callable[[], int],
        monotonic: Callable[[], float],
        *,
        return_seconds: float = RETURN_SECONDS,
    ) -> None:
        self._store = store
        self._hub = hub
        self._fleet = fleet
        self._clock = clock
        self._monotonic = monotonic
        self._return_seconds = return_seconds
        self._begun = monotonic()
        self._inherited: frozenset[int] = frozenset()
        self._healthy_since: dict[tuple[int, int], float] = {}
        self._changed = asyncio.Event()

    def start(self) -> None:
        """Take over the waves of the log."""
        self._begun = self._monotonic()
        self._inherited = frozenset(wave.revision for wave in self._hub.waves)
        self._hub.on_change(self._changed.set)
        self._changed.set()

    async def run(self) -> None:
        """Move waves on as they become healthy, until it is cancelled."""
        wait: float | None = None
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                wait = await self.advance()
            except UnavailableError:
                return  # the store is closed
            except ResourceExhaustedError as error:  # the next look tries again
                log.warning("waves_not_advanced", why=error.message)
                wait = RETURN_SECONDS
            await asyncio.sleep(PAUSE_SECONDS)

    async def advance(self) -> float | None:
        """Move every wave on that is due; returns the seconds until the next can be, None where nodes must tell first.

        Of the moves of one alias only the newest goes on.
        """
        now = self._monotonic()
        newest: dict[tuple[str, str], Wave] = {}
        for wave in self._hub.waves:
            newest.setdefault((wave.model, wave.alias), wave)
        alive = {(wave.revision, wave.share_ppm) for wave in newest.values()}
        self._healthy_since = {key: since for key, since in self._healthy_since.items() if key in alive}
        due: dict[int, float] = {}
        for wave in newest.values():
            reached, waiting = self.standing(wave)
            if waiting:
                self._healthy_since.pop((wave.revision, wave.share_ppm), None)
                continue
            since = self._healthy_since.setdefault((wave.revision, wave.share_ppm), now)
            due[wave.revision] = self._due(wave, since)
            if due[wave.revision] <= now:
                await self._reach(wave, len(reached))
        if not due:
            return None
        if any(moment <= now for moment in due.values()):
            await self._hub.refresh()
            self._changed.set()
        return max(min(due.values()) - now, 0.0)

    def standing(self, wave: Wave) -> tuple[list[str], list[str]]:
        """Return the connected nodes that a wave has reached, and those of them that are not healthy yet."""
        followers = self._hub.followers(wave.model, wave.alias)
        reached = [name for name in followers if reaches(wave.share_ppm, wave.revision, name)]
        return reached, [name for name in reached if not self._fleet.node(name).healthy]

    def _due(self, wave: Wave, since: float) -> float:
        back = self._begun + self._return_seconds
        if since < back and (wave.revision in self._inherited or self._awaited(wave)):
            since = back
        return since + wave.plan.hold_seconds

    def _awaited(self, wave: Wave) -> bool:
        """Say whether nodes that a wave has reached are known from before the start, and have not come back."""
        awaited = self._hub.awaited(wave.model, wave.alias)
        return any(reaches(wave.share_ppm, wave.revision, name) for name in awaited)

    async def _reach(self, wave: Wave, nodes: int) -> None:
        share = wave.plan.after(wave.share_ppm)
        reason = f"{nodes} connected nodes applied the wave before"

        def rule(transaction: Transaction) -> None:
            model = find_model(transaction, wave.model)
            if wave not in transaction.waves(model):
                return  # it moved on, or ended, since it was looked at
            change = WaveReached(wave.model, wave.alias, wave.revision, share)
            record(transaction, self._clock(), Origin(REGISTRY, reason), change, model=model)
            if share == EVERY_NODE_PPM:
                transaction.end_waves(model, wave.alias)
            else:
                transaction.set_wave(model, wave.alias, wave.revision, share)

        await self._store.change(rule)
        log.info("wave_reached", model=wave.model, alias=wave.alias, move_revision=wave.revision, share_ppm=share)
