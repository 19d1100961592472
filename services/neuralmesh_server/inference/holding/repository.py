"""Loading and unloading by hand: which of the registry's models this node answers for.

The registry says what exists and what aliases name; this says only that a model is to be left alone for a while. It is
kept in the node's folder, so that a restart does not serve what somebody took out of service, and all workers of a node
do alike.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from neuralmesh_server import names
from neuralmesh_server.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.serving import LOADING, READY, UNAVAILABLE, UNLOADING, VersionState
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from neuralmesh_server.inference.holding.loader import Loader
    from neuralmesh_server.inference.serving import Serving, Snapshot

log = structlog.get_logger()

FOLLOW_SECONDS = 0.2
"""How often a worker looks for what another one was told."""


NOBODY = Caller()


class UnloadedStore(Protocol):
    """Where the unloaded models are kept over a restart, and what the workers of a node share; all methods block."""

    def load(self) -> frozenset[str]:
        """Return the names; raises SettingsError when they cannot be read."""

    def change(self, model: str, *, unloaded: bool) -> frozenset[str]:
        """Add or remove a name durably; returns all names. Raises OSError or SettingsError."""

    def stamp(self) -> tuple[int, int]:
        """Return what tells one content from another."""


class Repository:
    """Loads and unloads models; one change at a time.

    Args:
        loader: What loads.
        serving: What is served.
        store: Where the unloaded models are kept.
    """

    def __init__(self, *, loader: Loader, serving: Serving, store: UnloadedStore) -> None:
        self._loader = loader
        self._serving = serving
        self._store = store
        self._changing = asyncio.Lock()
        self._changes: set[asyncio.Task[None]] = set()

    async def unload(self, model: str, caller: Caller = NOBODY) -> None:
        """Stop answering for a model until `load`; requests that run are answered.

        Raises:
            InvalidArgumentError: NAME_INVALID.
            NotFoundError: MODEL_NOT_FOUND.
            DeadlineExceededError: DEADLINE_EXPIRED; the node goes on unloading.
            ResourceExhaustedError: STORAGE_FULL: it could not be kept, and nothing changed.
        """
        self._known(model)
        try:
            async with asyncio.timeout(caller.remaining()):
                await self._change(model, unloaded=True)
        except TimeoutError as error:
            raise _expired(model, "unloaded") from error

    async def load(self, model: str, caller: Caller) -> None:
        """Answer for a model again, try what failed again, and return when all of it is ready or has failed.

        It succeeded when every version is ready that an alias names, and without the alias `production` the newest one.

        Raises:
            InvalidArgumentError: NAME_INVALID.
            NotFoundError: MODEL_NOT_FOUND, or VERSION_NOT_FOUND when the model has no version.
            FailedPreconditionError: LOAD_FAILED.
            UnavailableError: VERSION_NOT_READY: files could not be fetched for now; the node goes on trying.
            DeadlineExceededError: DEADLINE_EXPIRED; the node goes on loading.
            ResourceExhaustedError: STORAGE_FULL: it could not be kept, and nothing changed.
        """
        self._known(model)
        try:
            async with asyncio.timeout(caller.remaining()):
                await self._change(model, unloaded=False)
                snapshot = await self._serving.when(lambda current: _is_decided(current, model))
        except TimeoutError as error:
            raise _expired(model, "loaded") from error
        self._check(snapshot, model)

    async def follow(self) -> None:
        """Do what other workers were told, until cancelled."""
        stamp = self._store.stamp()
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)  # no event tells of a file that another process replaces
            found = await asyncio.to_thread(self._store.stamp)
            if found == stamp:
                continue
            stamp = found
            async with self._changing:
                try:
                    self._apply(await asyncio.to_thread(self._store.load))
                except (OSError, SettingsError) as error:
                    log.warning("unloaded_models_not_read", why=str(error))

    async def _change(self, model: str, *, unloaded: bool) -> None:
        """Make a change, all of it: what is kept and what is served stay the same when who asked for it goes away."""
        change = asyncio.create_task(self._make(model, unloaded=unloaded))
        self._changes.add(change)
        change.add_done_callback(self._made)
        await asyncio.shield(change)

    async def _make(self, model: str, *, unloaded: bool) -> None:
        async with self._changing:
            self._apply(await self._keep(model, unloaded=unloaded))
            if not unloaded:
                self._loader.load(model)  # what failed is tried again, even if the model was never unloaded

    def _made(self, change: asyncio.Task[None]) -> None:
        self._changes.discard(change)
        error = None if change.cancelled() else change.exception()
        if error is not None:  # the caller may not be there any more
            log.warning("model_not_changed", why=str(error))

    def _apply(self, models: frozenset[str]) -> None:
        for model in models - self._loader.unloaded:
            self._loader.unload(model)
            log.info("model_unloaded", model=model)
        for model in self._loader.unloaded - models:
            self._loader.load(model)
            log.info("model_loaded", model=model)

    def states(self) -> dict[tuple[str, int], VersionState]:
        """Return the state of every version, in order; UNLOADING is what runs for requests but answers no new ones."""
        states = dict(self._serving.snapshot().states)
        for key in self._loader.leaving() & states.keys():
            if states[key].state == UNAVAILABLE:
                states[key] = VersionState(UNLOADING, states[key].reason)
        return states

    def _known(self, model: str) -> None:
        names.check_model(model)
        if model not in self._serving.snapshot().models:
            raise NotFoundError("MODEL_NOT_FOUND", f"model {model!r} is not known here", model=model)

    async def _keep(self, model: str, *, unloaded: bool) -> frozenset[str]:
        try:
            return await asyncio.to_thread(lambda: self._store.change(model, unloaded=unloaded))
        except (OSError, SettingsError) as error:
            why = error.strerror if isinstance(error, OSError) else "its file is damaged"
            raise ResourceExhaustedError(
                "STORAGE_FULL", f"the node cannot keep which models are unloaded: {why}"
            ) from error

    def _check(self, snapshot: Snapshot, model: str) -> None:
        needed = _needed(snapshot, model)
        if not needed:
            raise NotFoundError("VERSION_NOT_FOUND", f"model {model!r} has no version yet", model=model, version="")
        for version in needed:
            state = snapshot.states[model, version]
            if state.state == READY:
                continue
            about = {"model": model, "version": version, "state": state.state, "stateReason": state.reason}
            message = f"version {version} of model {model!r} is {state.state}: {state.reason}"
            if self._loader.is_tried_again(model, version):
                raise UnavailableError("VERSION_NOT_READY", message, **about)
            raise FailedPreconditionError("LOAD_FAILED", message, **about)


def _expired(model: str, what: str) -> DeadlineExceededError:
    return DeadlineExceededError(
        "DEADLINE_EXPIRED", f"model {model!r} is still being {what} at the deadline", model=model
    )


def _needed(snapshot: Snapshot, model: str) -> list[int]:
    """Return the versions without which a model is not loaded."""
    targets = {alias: version for (name, alias), version in snapshot.targets.items() if name == model}
    needed = set(targets.values())
    if names.DEFAULT_ALIAS not in targets:
        needed |= {max((version for name, version in snapshot.states if name == model), default=0)} - {0}
    return sorted(version for version in needed if (model, version) in snapshot.states)


def _is_decided(snapshot: Snapshot, model: str) -> bool:
    """Say whether every version of a model that is to be held here is ready or has failed."""
    return all(state.state != LOADING for (name, _), state in snapshot.states.items() if name == model)
