"""Keeps an edge node at its desired state through every cut of the line: dials, says hello, applies, refuses.

A step is merged into what is held and taken whole or not at all. A revision below the highest that this node ever
applied is refused, whoever sends it; a state that does not have its digest is refused, and the whole is asked for. What
was held goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.inference.edge.desired import merged, parts_of
from neuralmesh_server.inference.edge.mesh import Hello, Outcome, RefusedError, Verdict
from neuralmesh_server.inference.holding.follower import NodeNameTakenError
from neuralmesh_server.inference.holding.records import DivergedError
from neuralmesh_server.inference.holding.replica import Step
from neuralmesh_server.inference.links import LinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from neuralmesh_server.inference.edge.desired import MeshStep
    from neuralmesh_server.inference.edge.mesh import MeshLink, MeshSession
    from neuralmesh_server.inference.edge.reporting import Reporting
    from neuralmesh_server.inference.holding.replica import Replica

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is; see Hello in the contract."""

    name: str
    labels: Mapping[str, str]
    key: bytes
    epoch_ms: int
    endpoint: str


class EdgeFollower:
    """Follows until cancelled.

    Args:
        mesh: How the registry is reached.
        replica: What is kept current.
        reporting: Says what became of states.
        node: Name, labels, key, epoch and endpoint of this node; called for each hello.
        highest: Returns the highest revision that this node ever applied, and the hash of its event.
        needed: Returns the versions that answer now, which stay though the registry goes on without them.
        heard: Called for each message of the registry that was accepted, on the loop.
        changed: Called after each change of the replica with the hash of its revision's event, on the loop.
        advanced: The same, when the same state holds at a higher revision.
        connected: Called each time the registry is reached, on the loop.
        longest_pause: Longest pause in seconds before the registry is tried again.

    Attributes:
        trouble: Why the registry is not followed; empty while it is.
    """

    def __init__(
        self,
        *,
        mesh: MeshLink,
        replica: Replica,
        reporting: Reporting,
        node: Callable[[], Identity],
        highest: Callable[[], tuple[int, bytes]],
        needed: Callable[[], Collection[tuple[str, int]]],
        heard: Callable[[], None],
        changed: Callable[[bytes], None],
        advanced: Callable[[bytes], None],
        connected: Callable[[], None],
        longest_pause: float,
    ) -> None:
        self._mesh = mesh
        self._replica = replica
        self._reporting = reporting
        self._identity = node
        self._highest = highest
        self._needed = needed
        self._on_heard = heard
        self._on_changed = changed
        self._on_advanced = advanced
        self._on_connected = connected
        self._longest_pause = longest_pause
        self._pause = FIRST_PAUSE_SECONDS
        self._connected = False
        self._since = 0.0
        self._need_whole = replica.revision == 0 or replica.outdated
        self.trouble = "not reached yet"

    @property
    def connected(self) -> bool:
        """True while the registry is heard."""
        return self._connected

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            NodeNameTakenError: The registry knows another key for the node's name.
        """
        while True:
            try:
                await self._follow()
            except RefusedError as error:
                log.warning("state_refused", revision=error.revision, why=str(error))
                self._lost(f"refused revision {error.revision}: {error}")
            except LinkError as error:
                self._report(error)
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # grpc may tell of it as the end of the call
                raise asyncio.CancelledError
            # Nodes that were cut off together do not come back together.
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            self._pause = min(self._pause * 2, self._longest_pause)

    async def _follow(self) -> None:
        async with self._mesh.open(self._hello()) as session:
            reports: list[asyncio.Task[None]] = []
            try:
                while True:
                    self._take(await session.read())
                    if not reports:  # nothing is said to a registry that may be refusing the hello
                        reports.append(asyncio.create_task(self._reporting.run(session)))
            except RefusedError as error:
                await _end(reports)
                await self._refuse(session, error)
                raise
            finally:
                await _end(reports)

    def _hello(self) -> Hello:
        identity, (revision, event_hash) = self._identity(), self._highest()
        return Hello(
            node=identity.name,
            labels=identity.labels,
            applied_revision=revision,
            digest=b"" if self._need_whole else self._replica.digest(),
            key=identity.key,
            epoch_ms=identity.epoch_ms,
            endpoint=identity.endpoint,
            event_hash=event_hash,
        )

    def _take(self, step: MeshStep) -> None:
        """Apply a step; raises RefusedError, and what is held stays."""
        highest, _ = self._highest()
        if step.revision < highest:
            raise RefusedError(step.revision, f"this node has applied revision {highest}")
        before, started, worked = self._replica.revision, time.perf_counter_ns(), time.thread_time_ns()
        try:
            if step.changes or self._need_whole:
                self._apply(step)
            else:
                self._replica.advance(step.revision, step.digest)
        except (DivergedError, RefusedError) as error:
            self._need_whole = True
            raise RefusedError(step.revision, str(error)) from error
        self._need_whole = False
        self._found(step.revision)
        if step.changes:
            self._on_changed(step.event_hash)
            # What was held already answers from here on.
            log.info(
                "state_taken",
                revision=step.revision,
                microseconds=(time.perf_counter_ns() - started) // 1000,
                cpu_microseconds=(time.thread_time_ns() - worked) // 1000,
            )
        elif self._replica.revision != before:
            self._on_advanced(step.event_hash)

    def _apply(self, step: MeshStep) -> None:
        if self._need_whole and not step.whole:
            raise RefusedError(step.revision, "only changes were sent to a node that asked for everything")
        if not step.digest:
            raise RefusedError(step.revision, "the state has no digest")
        part = merged(parts_of(self._replica), step)
        held = self._replica
        kept = [(key, held.versions[key], held.models[key[0]].uid) for key in self._needed() if key in held.versions]
        held.apply(Step(step.revision, step.digest, part))
        # A model of the same name may be another one after a restore.
        held.carry([record for key, record, uid in kept if key[0] in held.models and held.models[key[0]].uid == uid])

    async def _refuse(self, session: MeshSession, error: RefusedError) -> None:
        """Tell the registry why, after everything that was said before."""
        verdict = Verdict(Outcome.REFUSED, error.revision, self._replica.digest(), str(error))
        try:
            await session.report(verdict, self._reporting.figures())
            await session.finish()
        except LinkError as lost:
            log.info("refusal_not_told", why=str(lost))

    def _found(self, revision: int) -> None:
        self.trouble = ""
        now = asyncio.get_running_loop().time()
        if self._connected and now - self._since > self._longest_pause:
            # Not sooner: two nodes with one key, such as a copied disk, end each other's streams.
            self._pause = FIRST_PAUSE_SECONDS
        if not self._connected:
            self._connected, self._since = True, now
            log.info("registry_followed", revision=revision)
            self._on_connected()
        self._on_heard()

    def _lost(self, why: str) -> None:
        self._connected = False
        self.trouble = why

    def _report(self, error: LinkError) -> None:
        behind = error.reason == "REVISION_AHEAD"
        why = f"the registry is behind this node: {error}" if behind else str(error)
        repeated = self.trouble == why
        self._lost(why)
        if error.reason == "NODE_KEY_CONFLICT":
            name = self._identity().name
            log.warning("node_name_taken", node=name, why=str(error))
            raise NodeNameTakenError(
                f"NEURALMESH_NODE: another node is registered as {name!r} with another key; give this one another "
                "name, or its old data folder back"
            ) from error
        if repeated:
            return
        if behind:
            log.warning(
                "registry_behind_node",
                revision=self._highest()[0],
                why=str(error),
                hint="the registry was restored from an older copy; this node goes on serving what it has",
            )
        else:
            log.warning("registry_lost", why=str(error), revision=self._replica.revision)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
