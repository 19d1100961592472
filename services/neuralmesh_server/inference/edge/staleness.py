"""Which models are stale on this node and what follows, and who tells the snapshot when that changes.

It reads the replica's policies and the silence; requests meet only what it put into their route.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.inference.edge.silence import after, step_of
from neuralmesh_server.inference.serving import Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuralmesh_server.inference.edge.silence import Silence
    from neuralmesh_server.inference.holding.replica import Replica

log = structlog.get_logger()

FLAG, REFUSE = 2, 3
"""Numbers of the contract's StalenessPolicy.Action that change answers."""
DEFAULT_SECONDS = 60
LONGEST_PAUSE_SECONDS = 10.0
"""The loop's timers do not run while a machine sleeps, so that the silence is looked at again after this."""


class Staleness:
    """Belongs to the loop.

    Args:
        replica: Which policies hold.
        silence: How long the registry has been silent.
        changed: Called when answers change, on the loop.
        stepped: Called when the silence has reached another step, on the loop.
    """

    def __init__(
        self,
        *,
        replica: Replica,
        silence: Silence,
        changed: Callable[[], None],
        stepped: Callable[[], None],
    ) -> None:
        self._replica = replica
        self._silence = silence
        self._on_changed = changed
        self._on_stepped = stepped
        self._told: Mapping[str, Stale] = {}
        self._step = silence.step
        self._wake = asyncio.Event()

    def current(self) -> Mapping[str, Stale]:
        """Return the models that are stale now, and remember that somebody was told."""
        seconds = self._silence.seconds
        found: dict[str, Stale] = {}
        for model, record in self._replica.staleness.items() if seconds is not None else ():
            assert seconds is not None
            limit = record.after_seconds or DEFAULT_SECONDS
            if record.action in {FLAG, REFUSE} and seconds >= limit:
                found[model] = Stale(max(step_of(seconds), limit), refuses=record.action == REFUSE)
        self._told = found
        return found

    def heard(self) -> None:
        """Take note that the registry was heard, or that policies changed."""
        self._look()
        self._wake.set()

    async def run(self) -> None:
        """Look whenever a step or a limit passes, until cancelled."""
        while True:
            self._look()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_next()):  # `wait_for` may swallow a cancellation
                    await self._wake.wait()

    def _look(self) -> None:
        step, told = self._silence.step, self._told
        if step != self._step:
            self._step = step
            self._on_stepped()
        if self.current() != told:
            log.info("staleness_changed", models=sorted(self._told), seconds=step)
            self._on_changed()

    def _until_next(self) -> float:
        seconds = self._silence.seconds
        if seconds is None:
            return LONGEST_PAUSE_SECONDS
        limits = [record.after_seconds or DEFAULT_SECONDS for record in self._replica.staleness.values()]
        ahead = [limit - seconds for limit in (after(step_of(seconds)), *limits) if limit > seconds]
        return max(min(*ahead, LONGEST_PAUSE_SECONDS), 0.001)
