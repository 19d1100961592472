"""Keeps nodes at their desired states: a session for each node that is connected, and one plan for all of them.

A commit wakes the hub, which reads what changed, works the states out once, and wakes the sessions whose state is
another one now. A session sends what holds when its turn comes, so that a slow reader skips what it was too slow for.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.errors import FailedPreconditionError, UnavailableError
from neuralmesh_server.registry.mesh import picture as pictures
from neuralmesh_server.registry.mesh.desired import Picture, Plan
from neuralmesh_server.registry.mesh.nodes import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from neuralmesh_server.errors import NeuralMeshError
    from neuralmesh_server.registry.mesh.desired import DesiredState, ModelState
    from neuralmesh_server.registry.mesh.fleet import Fleet
    from neuralmesh_server.registry.mesh.nodes import Hello, Report
    from neuralmesh_server.registry.records import Origin
    from neuralmesh_server.registry.records_mesh import Wave
    from neuralmesh_server.registry.store import Store
    from neuralmesh_server.registry.tracing import Tracer

log = structlog.get_logger()

SILENT_SECONDS = 35.0
"""A node that has said nothing for so long hangs, or is gone without a word: it reports every 10 seconds."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Step:
    """What a node applies as a whole; without models it is a heartbeat, unless it is whole.

    Nodes that make the same step share one, so that it is put into bytes once.
    """

    revision: int
    state_digest: bytes
    whole: bool = False
    models: tuple[ModelState, ...] = ()
    removed: tuple[str, ...] = ()
    event_hash: bytes = b""


class Session:
    """One node's stream.

    Args:
        hub: Whose it is.
        hello: What the node said.
        target: What it is to hold.
    """

    def __init__(self, hub: Hub, hello: Hello, target: DesiredState) -> None:
        self._hub = hub
        self.node = hello.node
        self.labels = hello.labels
        self._target = target
        held = hello.state_digest == target.digest
        self._base = target if held else None
        """What the node holds once it applied what was sent; None where that is not known, which asks for the whole."""
        self._sent = target.digest if held else b""
        self._sent_revision = 0
        self._changed = asyncio.Event()
        self._heard = asyncio.get_running_loop().time()
        self._refusal: tuple[int, bytes, str] | None = None
        self._over = False
        self._failure: NeuralMeshError | None = None

    def aim(self, target: DesiredState) -> None:
        """Take what the node is to hold from now on."""
        self._target = target
        if target.digest != self._sent:
            self._changed.set()

    def end(self, failure: NeuralMeshError | None = None) -> None:
        """End the stream, with an error where one is given; the first end counts."""
        if not self._over:
            self._over, self._failure = True, failure
            self._changed.set()

    def report(self, report: Report) -> None:
        """Take a report."""
        self._heard = asyncio.get_running_loop().time()
        newest = report.revision >= self._sent_revision
        refusal = (report.revision, report.state_digest, report.reason)
        if report.outcome is Outcome.REFUSED and refusal != self._refusal:  # what is said again asks for nothing more
            self._refusal = refusal
            log.warning("state_refused", node=self.node, revision=report.revision, reason=report.reason)
            self._base = None
            if not newest:  # what was sent since builds on what was refused
                self._sent = b""
                self._changed.set()
        elif report.outcome is Outcome.APPLIED and newest and report.state_digest != self._sent:
            log.warning("state_diverged", node=self.node, revision=report.revision)
            self._base = None
        self._hub.reported(self, report)

    async def steps(self) -> AsyncIterator[Step]:
        """Yield steps until the stream is to end.

        What a node refused is sent again in place of a heartbeat.
        """
        loop = asyncio.get_running_loop()
        beat = 0.0  # the first message says at once that the node is heard
        while not self._over:
            self._changed.clear()
            if loop.time() >= self._heard + SILENT_SECONDS:
                self.end(UnavailableError("NOT_SERVING", f"node {self.node!r} said nothing for {SILENT_SECONDS:g} s"))
                break
            late = loop.time() >= beat
            if self._target.digest != self._sent or (late and self._base is None):
                step = self._hub.step(self._base, self._target)
                self._base, self._sent, self._sent_revision = self._target, self._target.digest, step.revision
            elif late:
                step = self._hub.step(self._target, self._target)
            else:
                try:
                    async with asyncio.timeout_at(beat):
                        await self._changed.wait()
                except TimeoutError:
                    pass
                continue
            beat = loop.time() + self._hub.heartbeat_seconds
            yield step
        if self._failure is not None:
            raise self._failure


class Hub:
    """The sessions and the plan. It belongs to the loop on which `start` ran.

    Args:
        store: The log and the state.
        tracer: Keeps the nodes' keys.
        fleet: What is known of nodes.
        heartbeat_seconds: Longest silence on a stream.

    Attributes:
        revision: That of the registry, as far as the hub has read.
    """

    def __init__(self, store: Store, tracer: Tracer, fleet: Fleet, heartbeat_seconds: float) -> None:
        self._store = store
        self._tracer = tracer
        self._fleet = fleet
        self.heartbeat_seconds = heartbeat_seconds
        self._picture = Picture(0)
        self._plan = Plan(self._picture)
        self._steps: dict[tuple[bytes, bytes], Step] = {}
        self._sessions: dict[str, Session] = {}
        self._listeners: list[Callable[[], None]] = []
        self._committed = asyncio.Event()
        self._reading = asyncio.Lock()
        self._closed = False

    @property
    def revision(self) -> int:
        """Revision up to which the log was read."""
        return self._picture.revision

    @property
    def waves(self) -> tuple[Wave, ...]:
        """The moves that have not reached every node, the newest first."""
        return self._picture.waves

    async def start(self) -> None:
        """Read the log and listen for commits."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._committed.set)

        self._store.on_commit(wake)
        await self.refresh(anew=True)

    async def follow(self) -> None:
        """Read what is committed, until it is cancelled."""
        while True:
            await self._committed.wait()
            self._committed.clear()
            try:
                await self.refresh()
            except UnavailableError:
                return  # the store is closed

    def close(self) -> None:
        """End every stream with NOT_SERVING."""
        self._closed = True
        for session in self._sessions.values():
            session.end(_stopping())

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call a listener whenever a node or a state is another one than before."""
        self._listeners.append(listener)

    async def refresh(self, *, anew: bool = False) -> None:
        """Read the log up to the newest revision, and aim every session at what holds there."""
        async with self._reading:
            before = self._picture
            after = await self._store.read(lambda view: pictures.take(view, None if anew else before))
            if after.revision == before.revision and not anew:
                return
            self._picture = after
            self._steps.clear()
            if (after.assignments, after.parts, after.waves) == (before.assignments, before.parts, before.waves):
                return
            self._plan = Plan(after, self._plan)
            for node in self._fleet:
                target = self._plan.state(node.labels, node.name)
                self._fleet.want(node.name, target.digest, after.revision)
                session = self._sessions.get(node.name)
                if session is not None:
                    session.aim(target)
        self._tell()

    async def desired(self, labels: Mapping[str, str], node: str) -> tuple[int, DesiredState]:
        """Return the newest revision, and what a node is to hold there."""
        await self.refresh()
        return self._picture.revision, self._plan.state(labels, node)

    async def join(self, hello: Hello, origin: Origin) -> Session:
        """Open a session; one of the same node ends.

        Raises:
            FailedPreconditionError: REVISION_AHEAD or NODE_KEY_CONFLICT.
            UnavailableError: NOT_SERVING, the registry is stopping.
        """
        await self.refresh()  # so that a commit that was answered before the hello counts
        if hello.applied_revision > self.revision:
            raise FailedPreconditionError(
                "REVISION_AHEAD",
                f"node {hello.node!r} has applied revision {hello.applied_revision}; this registry is at"
                f" {self.revision}",
                node=hello.node,
                appliedRevision=hello.applied_revision,
                revision=self.revision,
            )
        await self._check_history(hello)
        await self._tracer.register(hello.node, hello.id_key, origin)
        if self._closed:
            raise _stopping()
        target = self._plan.state(hello.labels, hello.node)
        session = Session(self, hello, target)
        before = self._sessions.get(hello.node)
        if before is not None:
            before.end()
        self._sessions[hello.node] = session
        self._fleet.greet(hello)
        self._fleet.want(hello.node, target.digest, self.revision)
        log.info("node_joined", node=hello.node, applied_revision=hello.applied_revision)
        self._tell()
        return session

    async def _check_history(self, hello: Hello) -> None:
        """Hold the event by which a node came to its revision against the one that led there here."""
        revision = hello.applied_revision
        if not hello.event_hash or not revision:
            return
        if await self._store.read(lambda view: pictures.event_hash(view, revision)) == hello.event_hash:
            return
        log.warning("node_has_another_past", node=hello.node, revision=revision, registry=self.revision)
        if revision == self.revision:
            raise FailedPreconditionError(
                "REVISION_AHEAD",
                f"node {hello.node!r} has applied revision {revision} of another history: this registry was restored,"
                " and came to that revision by another event",
                node=hello.node,
                appliedRevision=revision,
                revision=self.revision,
            )

    def leave(self, session: Session) -> None:
        """Take that a session's stream is over."""
        if self._sessions.get(session.node) is session:
            del self._sessions[session.node]
            self._fleet.left(session.node)
            log.info("node_left", node=session.node)
            self._tell()

    def reported(self, session: Session, report: Report) -> None:
        """Take a report of a session."""
        if self._sessions.get(session.node) is session:
            self._fleet.report(session.node, report)
            self._tell()

    def step(self, base: DesiredState | None, target: DesiredState) -> Step:
        """Return the step from one state to another, or to it from whatever there is."""
        key = b"" if base is None else base.digest, target.digest
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = _step(self._picture, base, target)
        return found

    def followers(self, model: str, alias: str) -> list[str]:
        """Return the names of the connected nodes that hold what an alias says."""
        return [name for name, session in self._sessions.items() if self._plan.follows(session.labels, model, alias)]

    def awaited(self, model: str, alias: str) -> list[str]:
        """Return the names of the nodes that are to hold what an alias says, and were not heard since the start."""
        return [
            node.name
            for node in self._fleet
            if not self._fleet.was_heard(node.name) and self._plan.follows(node.labels, model, alias)
        ]

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _step(picture: Picture, base: DesiredState | None, target: DesiredState) -> Step:
    revision, event = picture.revision, picture.event_hash
    if base is None:
        return Step(revision, target.digest, whole=True, models=tuple(target.models.values()), event_hash=event)
    before = base.models
    changed = (
        state
        for name, state in target.models.items()
        if name not in before or before[name].accumulator != state.accumulator
    )
    removed = (name for name in before if name not in target.models)
    return Step(revision, target.digest, models=tuple(changed), removed=tuple(removed), event_hash=event)


def _stopping() -> UnavailableError:
    return UnavailableError("NOT_SERVING", "the registry is stopping")
