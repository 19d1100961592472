"""How a follower keeps exactly the registry's state: a snapshot or the events it lacks, then every event, without gaps.

Followers read the log itself; a commit only wakes them. So none can miss an event, and a slow one costs the writer
nothing and the registry no memory but the batch it is sending.
"""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralmesh_server.errors import FailedPreconditionError, UnavailableError
from neuralmesh_server.registry.records import Alias, Event, Head, Model, ModelCreated, Version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh_server.registry.records_policy import ModelPolicy
    from neuralmesh_server.registry.store import Store, View

PART = 500
"""Most entries of a snapshot's part, and most events of a batch."""


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """A part of the whole state."""

    models: tuple[Model, ...] = ()
    versions: tuple[Version, ...] = ()
    aliases: tuple[Alias, ...] = ()
    first: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What a follower applies as a whole; without a change it is a heartbeat. The digest is empty within a snapshot."""

    revision: int
    state_digest: bytes
    change: SnapshotPart | tuple[Event, ...] | None = None


class Feed:
    """Serves followers. It belongs to the loop on which `start` ran.

    Args:
        store: The log and the state.
        heartbeat_seconds: Longest silence.
    """

    def __init__(self, store: Store, heartbeat_seconds: float) -> None:
        self._store = store
        self._heartbeat_seconds = heartbeat_seconds
        self._changed = asyncio.Event()
        self._closed = False

    def start(self) -> None:
        """Listen for commits."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake)

        self._store.on_commit(wake)

    def close(self) -> None:
        """End every follower's stream with NOT_SERVING."""
        self._closed = True
        self._wake()

    async def follow(self, from_revision: int, state_digest: bytes) -> AsyncIterator[Step]:
        """Yield steps for ever.

        Args:
            from_revision: Last revision that the follower applied; 0 asks for a snapshot.
            state_digest: What the follower holds there; empty skips the comparison.

        Raises:
            FailedPreconditionError: REVISION_AHEAD.
            UnavailableError: NOT_SERVING, the registry is stopping.
        """
        start = await self._store.read(lambda view: _start(view, from_revision, state_digest))
        if start is None:
            revision = from_revision
        else:
            async for step in self._snapshot(start):
                yield step
            revision = start.revision
        async for step in self._events(revision):
            yield step

    async def _events(self, revision: int) -> AsyncIterator[Step]:
        while True:
            changed = self._changed  # taken before the read, so that a commit after the read is not slept through
            if self._closed:
                raise UnavailableError("NOT_SERVING", "the registry is stopping")
            step = await self._store.read(lambda view, after=revision: _next(view, after))  # type: ignore[misc]
            if step.change is None:
                try:
                    async with asyncio.timeout(self._heartbeat_seconds):
                        await changed.wait()
                    continue
                except TimeoutError:
                    pass
            revision = step.revision
            yield step

    async def _snapshot(self, start: _Start) -> AsyncIterator[Step]:
        """Yield the state at one revision, while the registry moves on.

        Models and versions are read as the stream goes, since they never change; aliases and policies were read with
        the revision.
        """
        revision, births = 0, True
        first = True
        aliases = list(start.aliases)
        while births or aliases:
            if births:
                part = await self._store.read(
                    lambda view, after=revision: _births(view, after, start)  # type: ignore[misc]
                )
                births = part is not None
                if part is None:
                    continue
                revision, change = part
            else:
                change = SnapshotPart(aliases=tuple(aliases[:PART]))
                del aliases[:PART]
            yield Step(start.revision, b"", dataclasses.replace(change, first=first))
            first = False
        yield Step(start.revision, start.state_digest, SnapshotPart(first=first, last=True))

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


@dataclass(frozen=True, slots=True)
class _Start:
    """What a snapshot begins from."""

    revision: int
    state_digest: bytes
    aliases: tuple[Alias, ...]
    policies: dict[str, tuple[ModelPolicy, int]]


def _start(view: View, from_revision: int, state_digest: bytes) -> _Start | None:
    """Return what a snapshot begins from, or None when the follower can go on from where it is."""
    head: Head = view.head()
    if from_revision > head.revision:
        raise FailedPreconditionError(
            "REVISION_AHEAD",
            f"the follower is at revision {from_revision}; this registry is at {head.revision}",
            fromRevision=from_revision,
            revision=head.revision,
        )
    if from_revision and (not state_digest or state_digest == view.digest_at(from_revision)):
        return None
    return _Start(head.revision, head.state_digest, tuple(view.all_aliases()), view.policies())


def _next(view: View, after: int) -> Step:
    events = view.events_after(after, PART)
    revision = events[-1].revision if events else after
    digest = view.digest_at(revision)
    assert digest is not None
    return Step(revision, digest, tuple(events) or None)


def _births(view: View, after: int, start: _Start) -> tuple[int, SnapshotPart] | None:
    """Return models and versions created after a revision, and the revision of the last; None when there are none."""
    events = view.births_after(after, PART, start.revision)
    if not events:
        return None
    models = [event.model for event in events if isinstance(event.change, ModelCreated)]
    return events[-1].revision, SnapshotPart(
        models=tuple(_as_of(view, model, start) for model in models),
        versions=tuple(event.version for event in events if not isinstance(event.change, ModelCreated)),
    )


def _as_of(view: View, model: Model, start: _Start) -> Model:
    """Return a model as it was at the snapshot's revision."""
    policy, policy_revision = start.policies.get(model.name, (None, 0))
    return dataclasses.replace(
        model,
        latest_version=view.version_count(model.name, start.revision),
        policy=policy,
        policy_revision=policy_revision,
    )
