"""Keeps the versions loaded that the registry's state calls for, and publishes what is ready.

Every change of the registry's state is published at once with what is loaded; what is missing is fetched, verified,
opened, checked and warmed up beside it, and published when it is ready. So a rollback to a version that is held costs
one assignment, and a version that cannot be loaded leaves what served before.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference import warmup
from neuralmesh_server.inference.backend import LoadError
from neuralmesh_server.inference.ending import Ended, EndedError
from neuralmesh_server.inference.links import LinkError, LoadedReport
from neuralmesh_server.inference.serving import LOADING, UNAVAILABLE, LoadedModel, VersionState, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from neuralmesh_server.inference.activity import Activity
    from neuralmesh_server.inference.artifacts import Artifacts
    from neuralmesh_server.inference.backend import Backend, Model
    from neuralmesh_server.inference.ending import Ending
    from neuralmesh_server.inference.replica import Replica, VersionRecord
    from neuralmesh_server.inference.serving import Serving

log = structlog.get_logger()

AT_ONCE = 2
FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 30.0
OPEN_SECONDS = 20.0
"""The longest that a version may take to be opened and warmed up; the fetching of its files is not limited."""

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
        published: Called after each new snapshot.

    Attributes:
        settled: Set as soon as everything that could be loaded for the first known state is loaded.
        effective: The version that last answered for each alias.
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
    ) -> None:
        self._replica = replica
        self._serving = serving
        self._activity = activity
        self._artifacts = artifacts
        self._backends = backends
        self._opening = Ended(threads)
        self._keep_newest = keep_newest
        self._published = published
        self._loaded: dict[Key, LoadedModel] = {}
        self._tasks: dict[Key, _Load] = {}
        self._failures: dict[Key, _Failure] = {}
        self._targets: dict[tuple[str, str], int] = {}
        self._wake = asyncio.Event()
        self._known = False
        self.settled = asyncio.Event()
        self.effective = dict(effective)

    def changed(self) -> None:
        """Take note that the replica changed, or is known for the first time."""
        self._known = True
        self._forget_others()
        targets = {key: record.version for key, record in self._replica.aliases.items()}
        for key, version in targets.items():
            if self._targets.get(key) != version:
                self._failures.pop((key[0], version), None)
        self._targets = targets
        self._publish()
        self._wake.set()

    def retry(self) -> None:
        """Try again now what could not be fetched: the registry is back."""
        for key, failure in self._failures.items():
            if failure.retry_at is not None:
                self._failures[key] = replace(failure, retry_at=0.0)
        self._wake.set()

    async def run(self) -> None:
        """Load and unload until cancelled."""
        try:
            while True:
                self._reap()
                self._start()
                if self._known and not self._tasks:
                    self.settled.set()
                try:
                    await asyncio.wait_for(self._wake.wait(), self._until_retry())
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
                    aliases=tuple(snapshot.aliases_of(*key)) if snapshot else (),
                )
            )
        return tuple(reports)

    def wanted(self) -> list[Key]:
        """Return the versions to hold, the most urgent first."""
        aliases = self._replica.aliases
        keys = [(model, record.version) for (model, _), record in aliases.items()]
        keys += [(key[0], version) for key, version in self.effective.items() if key in aliases]
        keys += [(model, record.below[0]) for (model, _), record in aliases.items() if record.below]
        by_model: dict[str, list[int]] = {}
        for model, version in self._replica.versions:
            by_model.setdefault(model, []).append(version)
        for model, versions in by_model.items():
            keys += [(model, version) for version in sorted(versions, reverse=True)[: self._keep_newest]]
        return [key for key in dict.fromkeys(keys) if key in self._replica.versions]

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
        snapshot = publish(self._replica, self._loaded, states, self.effective, self._serving.current)
        held = {key: version for key, version in self.effective.items() if key in snapshot.targets}
        self.effective = held | dict(snapshot.aliases)
        self._serving.replace(snapshot)

    def _unload(self) -> bool:
        """Let go what nothing calls for after the swap; requests that run on it keep it until they are answered."""
        wanted = set(self.wanted())
        for key in self._failures.keys() - wanted:
            del self._failures[key]
        unwanted = self._loaded.keys() - wanted
        for key in unwanted:
            del self._loaded[key]
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
            task = asyncio.create_task(self._load(record, uid))
            task.add_done_callback(lambda _: self._wake.set())
            self._tasks[key] = _Load(record, uid, task)

    def _reap(self) -> None:
        done = {key: load for key, load in self._tasks.items() if load.task.done()}
        for key, load in done.items():
            del self._tasks[key]
            error = None if load.task.cancelled() else load.task.exception()
            if load.task.cancelled() or not self._is_current(key, load.uid, load.record.digest):
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
        if isinstance(error, LoadError):
            reason = f"failed to load: {error}"
        elif isinstance(error, (LinkError, NeuralMeshError, OSError)):
            reason = f"failed to fetch: {error}"
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

    def _until_retry(self) -> float | None:
        if len(self._tasks) >= AT_ONCE:
            return None
        moments = [
            failure.retry_at
            for key, failure in self._failures.items()
            if failure.retry_at is not None and key not in self._tasks
        ]
        if not moments:
            return None
        return max(min(moments) - asyncio.get_running_loop().time(), 0.001)

    async def _load(self, record: VersionRecord, uid: int) -> LoadedModel:
        backend = self._backends.get(record.kind)
        if backend is None:
            raise LoadError(f"no backend for kind {record.kind!r}")
        files = await self._artifacts.files(record)
        seconds = OPEN_SECONDS
        try:
            runner, checked = await self._opening.run(lambda ending: _open(backend, files, record, ending), seconds)
        except EndedError as error:
            raise LoadError(f"opening and warm-up took more than {seconds:g} seconds") from error
        return LoadedModel(
            model=record.model,
            version=record.version,
            uid=uid,
            digest=record.digest,
            kind=record.kind,
            signature=checked.signature,
            runner=runner,
            size_bytes=record.size_bytes,
            base_ns=checked.base_ns,
            row_ns=checked.row_ns,
            label_index=checked.label_index,
            activity=self._activity.version(record.model, record.version, record.digest),
            run_raw=runner.run_raw if checked.raw else None,
        )


def _open(
    backend: Backend, files: Mapping[str, Path], record: VersionRecord, ending: Ending
) -> tuple[Model, warmup.Checked]:
    runner = backend.load(files, ending)
    return runner, warmup.check(runner, record.signature, ending)
