"""Keeps the versions loaded that the registry's state calls for, and publishes what is ready.

Every change of the registry's state is published at once with what is loaded; what is missing is made ready beside it
(`opening`) and published when it is. So a rollback to a version that is held costs one assignment, and a version that
cannot be loaded leaves what served before.
"""

from __future__ import annotations

import asyncio
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference.backends.backend import LoadError, NotYetError
from neuralmesh_server.inference.holding import wanted
from neuralmesh_server.inference.holding.opening import Opening
from neuralmesh_server.inference.links import LinkError, LoadedReport
from neuralmesh_server.inference.publishing import publish
from neuralmesh_server.inference.serving import LOADING, UNAVAILABLE, LoadedModel, VersionState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Executor

    from neuralmesh_server.inference.backends.backend import Backend
    from neuralmesh_server.inference.holding.artifacts import Artifacts
    from neuralmesh_server.inference.holding.records import VersionRecord
    from neuralmesh_server.inference.holding.replica import Replica
    from neuralmesh_server.inference.reporting.activity import Activity
    from neuralmesh_server.inference.serving import Serving, Stale

log = structlog.get_logger()

AT_ONCE = 16
"""Most versions that are worked on, of which most may wait for the line; `opening` limits the others."""
FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 30.0
SETTLE_SECONDS = 2.0
"""The longest that a starting node waits for versions that no alias names."""
UNLOADED = "unloaded"
"""Reason of the versions of a model that somebody unloaded on this node."""

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Load:
    """Work on a version: a number alone does not say which, since a restored registry may give it again."""

    record: VersionRecord
    uid: int
    task: asyncio.Task[LoadedModel]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a version is not ready, and when it is tried again on the loop's clock; None: when an alias moves to it."""

    record: VersionRecord
    uid: int
    reason: str
    attempts: int
    retry_at: float | None


class Loader:
    """The only one who replaces the snapshot; everything but the opening of files happens on the loop.

    Args:
        replica: What the registry says; somebody else keeps it current and calls `changed`.
        serving: Where snapshots go.
        activity: Where counters come from.
        artifacts: Where files come from.
        backends: Backend of each kind.
        threads: Where files are opened and warmed up.
        keep_newest: How many of the newest versions of a model are held beside those that aliases call for.
        effective: The version that answered for each alias when the process last ran.
        unloaded: Models that this node leaves alone.
        stale: Returns the models for which the state may be too old.
        published: Called after each new snapshot.

    Attributes:
        settled: Set as soon as every version that an alias names in the first known state is loaded or has failed, and
            the others are too or had `SETTLE_SECONDS`.
        effective: The version that last answered for each alias.
        unloaded: Models that this node leaves alone.
    """

    def __init__(
        self,
        *,
        replica: Replica,
        serving: Serving,
        activity: Activity,
        artifacts: Artifacts,
        backends: Mapping[str, Backend],
        threads: Executor,
        keep_newest: int,
        effective: Mapping[tuple[str, str], int],
        published: Callable[[], None],
        unloaded: Collection[str] = (),
        stale: Callable[[], Mapping[str, Stale]] = dict,
    ) -> None:
        self._replica = replica
        self._serving = serving
        self._opening = Opening(
            artifacts=artifacts, backends=backends, activity=activity, threads=threads, rank=self._rank
        )
        self._keep_newest = keep_newest
        self._published = published
        self._stale = stale
        self._loaded: dict[Key, LoadedModel] = {}
        self._tasks: dict[Key, _Load] = {}
        self._failures: dict[Key, _Failure] = {}
        self._leaving: dict[Key, weakref.ref[LoadedModel]] = {}
        self._targets: dict[tuple[str, str], tuple[int, ...]] = {}
        self._wake = asyncio.Event()
        self._known_at: float | None = None
        self._meant: dict[tuple[str, str], tuple[int, str]] = {}
        self.settled = asyncio.Event()
        self.effective = dict(effective)
        self.unloaded = frozenset(unloaded)

    def changed(self) -> None:
        """Take note that the replica changed, or is known for the first time."""
        if self._known_at is None:
            self._known_at = asyncio.get_running_loop().time()
        self._forget_others()
        targets = {key: record.versions() for key, record in self._replica.aliases.items()}
        for key, versions in targets.items():
            for version in set(versions).difference(self._targets.get(key, ())):
                self._failures.pop((key[0], version), None)
        self._targets = targets
        self._publish()
        self._wake.set()

    def refresh(self) -> None:
        """Publish again what is held: what routes say of themselves has changed."""
        if self._known_at is not None:
            self._publish()

    def retry(self) -> None:
        """Try again now what could not be fetched: the registry is back."""
        for key, failure in self._failures.items():
            if failure.retry_at is not None:
                self._failures[key] = replace(failure, retry_at=0.0)
        self._wake.set()

    def unload(self, model: str) -> None:
        """Leave a model alone; requests that run on it are answered."""
        self.unloaded |= {model}
        for key, load in self._tasks.items():
            if key[0] == model:
                load.task.cancel()
        self._publish()
        self._wake.set()

    def load(self, model: str) -> None:
        """Hold a model's versions again, and try those again now that failed."""
        self.unloaded -= {model}
        for key in [key for key in self._failures if key[0] == model]:
            del self._failures[key]
        self._publish()
        self._wake.set()

    def is_tried_again(self, model: str, version: int) -> bool:
        """Say of a version that failed whether the loader tries it again by itself."""
        failure = self._failures.get((model, version))
        return failure is not None and failure.retry_at is not None

    def leaving(self) -> frozenset[Key]:
        """Return the versions that were let go, but that somebody still works with."""
        self._leaving = {key: held for key, held in self._leaving.items() if held() is not None}
        return frozenset(self._leaving.keys() - self._loaded.keys())

    async def run(self) -> None:
        """Load and unload until cancelled."""
        try:
            while True:
                self._reap()
                self._start()
                self._settle()
                try:
                    async with asyncio.timeout(self._until_next()):  # wait_for loses a cancellation at a wake
                        await self._wake.wait()
                except TimeoutError:
                    continue
                self._wake.clear()
        finally:
            tasks = [load.task for load in self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def reports(self) -> tuple[LoadedReport, ...]:
        """Return what the node holds, works on, or gave up, in order."""
        snapshot = self._serving.current
        aliases = snapshot.aliases_by_version() if snapshot else {}
        reports = []
        for key in sorted({*self._loaded, *self._tasks, *self._failures}):
            held: LoadedModel | VersionRecord
            reason = ""
            if key in self._loaded:
                held, state = self._loaded[key], "READY"
            elif key in self._tasks:
                held, state = self._tasks[key].record, "LOADING"
            else:
                failure = self._failures[key]
                held, state, reason = failure.record, "FAILED", failure.reason
            reports.append(
                LoadedReport(
                    model=held.model,
                    version=held.version,
                    digest=held.digest,
                    state=state,
                    reason=reason,
                    size_bytes=held.size_bytes,
                    aliases=tuple(aliases.get(key, ())),
                )
            )
        return tuple(reports)

    def wanted(self) -> list[Key]:
        """Return the versions to hold, the most urgent first."""
        return wanted.versions(self._replica, self.effective, self.unloaded, self._keep_newest)

    def _rank(self, key: Key) -> int:
        order = self.wanted()
        return order.index(key) if key in order else len(order)

    def _settle(self) -> None:
        if self.settled.is_set() or self._known_at is None:
            return
        named = set(wanted.named(self._replica, self.unloaded))
        patient = asyncio.get_running_loop().time() < self._known_at + SETTLE_SECONDS
        pending = [key for key in self.wanted() if key not in self._loaded and key not in self._failures]
        if not any(patient or key in named for key in pending):
            self.settled.set()

    def _is_current(self, key: Key, uid: int, digest: str) -> bool:
        model, record = self._replica.models.get(key[0]), self._replica.versions.get(key)
        return model is not None and record is not None and (model.uid, record.digest) == (uid, digest)

    def _forget_others(self) -> None:
        """Forget what is held, worked on or given up under numbers that mean something else now."""
        for key, loaded in list(self._loaded.items()):
            if not self._is_current(key, loaded.uid, loaded.digest):
                del self._loaded[key]
                log.warning("version_replaced", model=key[0], version=key[1], digest=loaded.digest)
        for key, failure in list(self._failures.items()):
            if not self._is_current(key, failure.uid, failure.record.digest):
                del self._failures[key]
        for key, load in self._tasks.items():
            if not self._is_current(key, load.uid, load.record.digest):
                load.task.cancel()
        # What answered for an alias answers no more when its number means another version now.
        for name, meant in self._meant.items():
            if name in self.effective and not self._is_current((name[0], self.effective[name]), *meant):
                del self.effective[name]

    def _publish(self) -> None:
        self._swap()
        if self._unload():
            self._swap()
        self._published()

    def _swap(self) -> None:
        states = {key: VersionState(LOADING) for key in self.wanted()}
        for key, failure in self._failures.items():
            if key not in self._tasks:
                states[key] = VersionState(UNAVAILABLE, failure.reason)
        for key in self._replica.versions if self.unloaded else ():
            if key[0] in self.unloaded:
                states[key] = VersionState(UNAVAILABLE, UNLOADED)
        snapshot = publish(
            self._replica, self._loaded, states, self.effective, self._serving.current, stale=self._stale()
        )
        held = {key: version for key, version in self.effective.items() if key in snapshot.targets}
        self.effective = held | dict(snapshot.aliases)
        meanings = {name: self._meaning(name[0], version) for name, version in self.effective.items()}
        self._meant = {name: meaning for name, meaning in meanings.items() if meaning is not None}
        self._serving.replace(snapshot)

    def _meaning(self, model: str, version: int) -> tuple[int, str] | None:
        held, record = self._replica.models.get(model), self._replica.versions.get((model, version))
        return None if held is None or record is None else (held.uid, record.digest)

    def _unload(self) -> bool:
        """Let go what nothing calls for after the swap; requests that run on it keep it until they are answered.

        Work on what nothing calls for any more ends as well: otherwise a download that waited for the line would go on
        when it is back, for a version that is thrown away once it is loaded.
        """
        wanted = set(self.wanted())
        for key in self._failures.keys() - wanted:
            del self._failures[key]
        for key in self._tasks.keys() - wanted:
            self._tasks[key].task.cancel()
        unwanted = self._loaded.keys() - wanted
        for key in unwanted:
            self._leaving[key] = weakref.ref(self._loaded.pop(key))
            log.info("version_unloaded", model=key[0], version=key[1])
        return bool(unwanted)

    def _start(self) -> None:
        now = asyncio.get_running_loop().time()
        for key in self.wanted():
            if len(self._tasks) >= AT_ONCE:
                return
            if key in self._loaded or key in self._tasks:
                continue
            failure = self._failures.get(key)
            if failure is not None and (failure.retry_at is None or failure.retry_at > now):
                continue
            record, uid = self._replica.versions[key], self._replica.models[key[0]].uid
            task = asyncio.create_task(self._opening.open(record, uid))
            task.add_done_callback(lambda _: self._wake.set())
            self._tasks[key] = _Load(record, uid, task)

    def _reap(self) -> None:
        done = {key: load for key, load in self._tasks.items() if load.task.done()}
        for key, load in done.items():
            del self._tasks[key]
            error = None if load.task.cancelled() else load.task.exception()
            if load.task.cancelled() or not self._is_current(key, load.uid, load.record.digest):
                continue
            if key[0] in self.unloaded:
                continue
            if error is None:
                self._failures.pop(key, None)
                self._loaded[key] = load.task.result()
                log.info("version_ready", model=key[0], version=key[1], digest=load.record.digest)
            else:
                self._fail(key, load, error)
        if done:
            self._publish()

    def _fail(self, key: Key, load: _Load, error: BaseException) -> None:
        attempts = self._failures[key].attempts + 1 if key in self._failures else 1
        retry_at = None
        if isinstance(error, LoadError) and not isinstance(error, NotYetError):
            reason = f"failed to load: {error}"
        elif isinstance(error, (NotYetError, LinkError, NeuralMeshError, OSError)):
            reason = f"failed to {'load' if isinstance(error, NotYetError) else 'fetch'}: {error}"
            pause = min(FIRST_RETRY_SECONDS * 2 ** (attempts - 1), LAST_RETRY_SECONDS)
            retry_at = asyncio.get_running_loop().time() + pause
        else:  # a defect: shown, and not tried again until an alias moves to the version
            reason = f"failed to load: {type(error).__name__}"
        self._failures[key] = _Failure(load.record, load.uid, reason, attempts, retry_at)
        expected = isinstance(error, (LoadError, LinkError, NeuralMeshError, OSError))
        log.error(
            "version_failed",
            model=key[0],
            version=key[1],
            reason=reason,
            attempt=attempts,
            exc_info=None if expected else error,
        )

    def _until_next(self) -> float | None:
        """Return the seconds until something is to be done without being told."""
        moments = [
            failure.retry_at
            for key, failure in self._failures.items()
            if failure.retry_at is not None and key not in self._tasks and len(self._tasks) < AT_ONCE
        ]
        now = asyncio.get_running_loop().time()
        if self._known_at is not None and not self.settled.is_set() and self._known_at + SETTLE_SECONDS > now:
            moments.append(self._known_at + SETTLE_SECONDS)
        return max(min(moments) - now, 0.001) if moments else None
