"""Aliases that somebody moved on this node alone, with the line cut or not.

A move here is durable before it is answered, and ends when the registry moves the alias: then its word is newer. Until
that the node is not converged, and says so.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from neuralmesh_server import canonical, names, state_digest
from neuralmesh_server.errors import FailedPreconditionError, NotFoundError, ResourceExhaustedError
from neuralmesh_server.inference.edge.mesh import LocalMove
from neuralmesh_server.inference.holding.replica import alias_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from neuralmesh_server.inference.holding.records import AliasRecord, VersionRecord
    from neuralmesh_server.inference.holding.replica import Replica
    from neuralmesh_server.inference.serving import Serving

log = structlog.get_logger()

Key = tuple[str, str]
T = TypeVar("T")


class OverrideStore(Protocol):
    """Where moves are kept; all methods block."""

    def load(self) -> list[LocalMove]:
        """Return what was kept."""

    def save(self, moves: Sequence[LocalMove]) -> None:
        """Keep them durably; raises OSError."""


class Overrides:
    """Belongs to the loop; one change at a time.

    Args:
        replica: What the registry says; it is told what is set aside.
        serving: What is served.
        store: Where moves are kept.
        changed: Called when another version answers, on the loop.
    """

    def __init__(
        self, *, replica: Replica, serving: Serving, store: OverrideStore, changed: Callable[[], None]
    ) -> None:
        self._replica = replica
        self._serving = serving
        self._store = store
        self._on_changed = changed
        self._moves = {(move.model, move.alias): move for move in store.load()}
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended = False
        self.reconcile()

    def moves(self) -> tuple[LocalMove, ...]:
        """Return the moves that hold, in order."""
        return tuple(self._moves[key] for key in sorted(self._moves))

    def versions(self) -> list[tuple[str, int]]:
        """Return the versions that they need."""
        return [(move.model, move.version) for move in self._moves.values()]

    def reconcile(self) -> None:
        """End the moves that the registry has overtaken, and tell the replica those that hold.

        On the disk they end when the state that ended them is there: before that a crash would leave neither.
        """
        over = [key for key, move in self._moves.items() if not self._holds(key, move)]
        for key in over:
            move = self._moves.pop(key)
            log.info("override_ended", model=move.model, alias=move.alias, version=move.version)
        self._replica.set_aside({key: move.version for key, move in self._moves.items()})
        self._ended = self._ended or bool(over)

    def state_kept(self) -> None:
        """Take note that the state is on the disk; what it ended ends there as well, beside everything else."""
        if self._ended:
            self._ended = False
            self._hold(asyncio.get_running_loop().create_task(self._save()))

    async def override(self, model: str, alias: str, version: int, actor: str, reason: str) -> tuple[LocalMove, int]:
        """Have another version answer for an alias; returns the move and the version that answered before.

        Args:
            model: Name of the model.
            alias: Name of the alias.
            version: What is to answer; 0 stands for what a rollback would bring back.
            actor: Who asks.
            reason: Why.

        Raises:
            NotFoundError: MODEL_NOT_FOUND, ALIAS_NOT_FOUND.
            FailedPreconditionError: VERSION_NOT_READY, NOTHING_TO_ROLL_BACK.
            ResourceExhaustedError: STORAGE_FULL: it could not be kept, and nothing changed.
        """
        names.check_model(model)
        names.check_alias(alias)
        return await self._alone(lambda: self._override(model, alias, version, actor, reason))

    async def clear(self, model: str, alias: str) -> LocalMove:
        """End a move; returns it. Raises ALIAS_NOT_FOUND where there is none, STORAGE_FULL as `override`."""
        names.check_model(model)
        names.check_alias(alias)
        return await self._alone(lambda: self._clear(model, alias))

    async def settled(self) -> None:
        """Return when everything that was changed is on the disk, or could not be written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _override(self, model: str, alias: str, version: int, actor: str, reason: str) -> tuple[LocalMove, int]:
        record = self._record(model, alias)
        snapshot = self._serving.snapshot()
        target = version or self._below(record)
        if (model, target) not in snapshot.served:
            raise FailedPreconditionError(
                "VERSION_NOT_READY",
                f"version {target} of model {model!r} is not loaded here",
                model=model,
                version=target,
            )
        before = snapshot.aliases.get((model, alias), record.version)
        against = _against(record, self._replica.versions[model, target])
        move = LocalMove(model, alias, target, record.revision, against, actor, reason)
        await self._keep({**self._moves, (model, alias): move})
        self._moves[model, alias] = move
        log.info("override_set", model=model, alias=alias, version=target, actor=actor, reason=reason)
        self.reconcile()  # the registry may have moved the alias meanwhile
        self._on_changed()
        return move, before

    async def _clear(self, model: str, alias: str) -> LocalMove:
        move = self._moves.get((model, alias))
        if move is None:
            raise NotFoundError(
                "ALIAS_NOT_FOUND", f"alias {alias!r} of model {model!r} is not set aside here", model=model, alias=alias
            )
        await self._keep({key: one for key, one in self._moves.items() if key != (model, alias)})
        self._moves.pop((model, alias), None)
        log.info("override_cleared", model=model, alias=alias, version=move.version)
        self.reconcile()
        self._on_changed()
        return move

    def _record(self, model: str, alias: str) -> AliasRecord:
        if model not in self._replica.models:
            raise NotFoundError("MODEL_NOT_FOUND", f"model {model!r} is not known here", model=model)
        record = self._replica.alias_records.get((model, alias))
        if record is None:
            raise NotFoundError("ALIAS_NOT_FOUND", f"model {model!r} has no alias {alias!r}", model=model, alias=alias)
        return record

    def _below(self, record: AliasRecord) -> int:
        move = self._moves.get((record.model, record.alias))
        below = record.below
        if move is not None and move.version in below:
            below = below[below.index(move.version) + 1 :]
        if not below:
            raise FailedPreconditionError(
                "NOTHING_TO_ROLL_BACK",
                f"no version is below alias {record.alias!r} of model {record.model!r} on this node",
                model=record.model,
                alias=record.alias,
            )
        return below[0]

    def _holds(self, key: Key, move: LocalMove) -> bool:
        record, version = self._replica.alias_records.get(key), self._replica.versions.get((move.model, move.version))
        return record is not None and version is not None and _against(record, version) == move.against

    async def _alone(self, make: Callable[[], Coroutine[object, object, T]]) -> T:
        """Make a change, all of it, also when who asked for it goes away."""

        async def change() -> T:
            async with self._changing:
                return await make()

        task = asyncio.create_task(change())
        self._hold(task)
        return await asyncio.shield(task)

    async def _keep(self, moves: dict[Key, LocalMove]) -> None:
        ordered = [moves[key] for key in sorted(moves)]
        try:
            await asyncio.to_thread(self._store.save, ordered)
        except OSError as error:
            raise ResourceExhaustedError(
                "STORAGE_FULL", f"the node cannot keep what is set aside: {error.strerror}"
            ) from error

    async def _save(self) -> None:
        async with self._changing:
            try:
                await self._keep(self._moves)
            except ResourceExhaustedError as error:
                log.warning("overrides_not_kept", why=str(error))

    def _hold(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _against(record: AliasRecord, version: VersionRecord) -> str:
    entries = [alias_entry(record), state_digest.version_entry(version.model, version.version, version.digest)]
    return hashlib.sha256(canonical.encode(entries)).hexdigest()
