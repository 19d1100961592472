"""Says what became of the node's state, and how the node is: at once when the first changes, once a second the second.

A state is applied when it is on the disk, every version that an alias of the registry names is loaded, which its
golden set has confirmed, and so is the one before it, so that a rollback needs no line. Until then it is pending; it is
refused when a version that an alias names cannot be loaded.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from neuralmesh_server.inference.edge.mesh import Outcome, Verdict
from neuralmesh_server.inference.holding import wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.inference.edge.memory import Memory
    from neuralmesh_server.inference.edge.mesh import Figures, MeshSession
    from neuralmesh_server.inference.holding.follower import Keeper
    from neuralmesh_server.inference.holding.loader import Loader
    from neuralmesh_server.inference.holding.replica import Replica

FIGURES_SECONDS = 1.0
BEAT_SECONDS = 10.0
"""The longest silence: a node that says nothing for long is taken for one that hangs."""
LONGEST_REASON = 1024


class Reporting:
    """Belongs to the loop.

    Args:
        replica: The state.
        loader: What loads it.
        keeper: What keeps it on disk.
        memory: What keeps the highest revision on disk.
        figures: Returns how the node is.
    """

    def __init__(
        self, *, replica: Replica, loader: Loader, keeper: Keeper, memory: Memory, figures: Callable[[], Figures]
    ) -> None:
        self._replica = replica
        self._loader = loader
        self._keeper = keeper
        self._memory = memory
        self.figures = figures
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look again: something was loaded, kept or moved."""
        self._wake.set()

    def verdict(self) -> Verdict:
        """Return what became of the state that is held."""
        replica = self._replica
        revision, digest = replica.revision, replica.digest()

        def say(outcome: Outcome, reason: str = "") -> Verdict:
            return Verdict(outcome, revision, digest, reason.encode()[:LONGEST_REASON].decode(errors="ignore"))

        if not revision:
            return say(Outcome.NOTHING)
        states = {(one.model, one.version): one for one in self._loader.reports()}
        waits = []
        for key in self._named():
            state = states.get(key)
            if state is not None and state.state == "READY":
                continue
            reason = state.reason if state is not None else ""
            if reason and not self._loader.is_tried_again(*key):
                return say(Outcome.REFUSED, f"{key[0]}/{key[1]}: {reason}")
            waits.append(f"{key[0]}/{key[1]}: {reason or 'is being made ready'}")
        for key in self._before():
            state = states.get(key)
            given_up = state is not None and state.state == "FAILED" and not self._loader.is_tried_again(*key)
            if (state is None or state.state != "READY") and not given_up:
                waits.append(f"{key[0]}/{key[1]}, to which a rollback would go, is being made ready")
        if waits:
            return say(Outcome.PENDING, "; ".join(waits))
        if self._keeper.kept != (revision, digest) or self._memory.kept < revision:
            return say(Outcome.PENDING, "the state is being written to the disk")
        return say(Outcome.APPLIED)

    def _named(self) -> list[tuple[str, int]]:
        """Return the versions that must be loaded: those of aliases as the registry says them."""
        keys = [
            (model, version)
            for (model, _), record in self._replica.alias_records.items()
            for version in record.versions()
            if model not in self._loader.unloaded
        ]
        aside = {key for key, record in self._replica.aliases.items() if record is not self._replica.alias_records[key]}
        here = set(wanted.named(self._replica, self._loader.unloaded))
        # Arms of an alias that is set aside need not run here, but its stable version is held.
        stable = {(key[0], self._replica.alias_records[key].version) for key in aside}
        return [key for key in dict.fromkeys(keys) if key in here or key in stable]

    def _before(self) -> list[tuple[str, int]]:
        """Return the versions that a rollback would bring back; one that cannot be loaded keeps nobody waiting."""
        return [
            (model, record.below[0])
            for (model, _), record in self._replica.alias_records.items()
            if record.below and model not in self._loader.unloaded
        ]

    async def run(self, session: MeshSession) -> None:
        """Report until cancelled or the stream is lost."""
        loop = asyncio.get_running_loop()
        told: Verdict | None = None
        shown: Figures | None = None
        next_figures = beat = 0.0
        while True:
            self._wake.clear()
            verdict, figures = self.verdict(), self.figures()
            now = loop.time()
            if verdict != told or now >= beat or (figures != shown and now >= next_figures):
                # A refusal is said once: the registry answers it by offering the state again.
                again = verdict == told and verdict.outcome is Outcome.REFUSED
                await session.report(replace(verdict, outcome=Outcome.NOTHING) if again else verdict, figures)
                told, shown, next_figures, beat = verdict, figures, now + FIGURES_SECONDS, now + BEAT_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(FIGURES_SECONDS):  # `wait_for` may swallow a cancellation
                    await self._wake.wait()
