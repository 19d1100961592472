"""Aliases: a stack of promotions for each, moved by compare-and-set.

A promotion goes on top and replaces the state whole, arms included; a rollback takes promotions off the top, and what
was taken off is gone for good, so a rollback never goes forward again. Every move is an event, and its revision is the
alias's etag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server import state_digest
from neuralmesh_server.errors import FailedPreconditionError, NotFoundError
from neuralmesh_server.registry import documents, documents_mesh, etags, protection
from neuralmesh_server.registry.catalog import find_model, find_version
from neuralmesh_server.registry.ledger import Repeatable, record
from neuralmesh_server.registry.records import Alias, AliasMoved, Move, MoveKind
from neuralmesh_server.registry.records_mesh import EVERY_NODE_PPM, WaveReached

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.proof_seal import Proof
    from neuralmesh_server.registry.records import AliasState, Event, Model, Origin
    from neuralmesh_server.registry.records_mesh import WavePlan
    from neuralmesh_server.registry.store import Store, Transaction, View

_PROMOTE = Repeatable("PromoteAlias", documents.move_fact, documents.read_move)
_ROLLBACK = Repeatable("RollbackAlias", documents.move_fact, documents.read_move)


class Promotions:
    """Moves and finds aliases.

    Args:
        store: Where they are kept.
        clock: Milliseconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def promote(
        self,
        model: str,
        alias: str,
        state: AliasState,
        etag: str,
        origin: Origin,
        *,
        proof: Proof | None = None,
        waves: WavePlan | None = None,
    ) -> Move:
        """Put a promotion on top; the state that already holds changes nothing.

        With waves it reaches edge nodes one share after the other (`mesh.waves`), else all at once.

        Raises:
            NotFoundError: MODEL_NOT_FOUND or VERSION_NOT_FOUND.
            AbortedError: ETAG_MISMATCH.
            FailedPreconditionError: PROOF_REQUIRED, PROOF_INVALID or PROOF_INSUFFICIENT.
        """
        arguments: dict[str, Fact] = {
            "model": model,
            "alias": alias,
            "state": documents.state_fact(state),
            "etag": etag,
        }
        if proof is not None:  # a key only where there is one: requests of before there were proofs are remembered
            arguments["proof"] = documents.proof_fact(proof)
        if waves is not None:  # as above
            arguments["waves"] = documents_mesh.waves_fact(waves)

        def rule(transaction: Transaction) -> Move:
            now = self._clock()
            return _PROMOTE.once(
                transaction,
                now,
                origin,
                arguments,
                lambda: _promote(
                    transaction,
                    now,
                    find_model(transaction, model),
                    alias,
                    state=state,
                    etag=etag,
                    origin=origin,
                    proof=proof,
                    waves=waves,
                ),
            )

        return await self._store.change(rule)

    async def rollback(self, model: str, alias: str, to_version: int, etag: str, origin: Origin) -> Move:
        """Take off the last promotion, or all those after the one that set `to_version` (0: the last).

        Raises:
            NotFoundError: MODEL_NOT_FOUND or ALIAS_NOT_FOUND.
            AbortedError: ETAG_MISMATCH.
            FailedPreconditionError: NOTHING_TO_ROLL_BACK or NEVER_PROMOTED.
        """
        arguments: Fact = {"model": model, "alias": alias, "to_version": to_version, "etag": etag}

        def rule(transaction: Transaction) -> Move:
            now = self._clock()
            return _ROLLBACK.once(
                transaction,
                now,
                origin,
                arguments,
                lambda: _rollback(
                    transaction,
                    now,
                    find_model(transaction, model),
                    alias,
                    to_version=to_version,
                    etag=etag,
                    origin=origin,
                ),
            )

        return await self._store.change(rule)

    async def alias(self, model: str, alias: str) -> Alias:
        """Return an alias; raises MODEL_NOT_FOUND or ALIAS_NOT_FOUND."""
        return await self._store.read(lambda view: find_alias(view, find_model(view, model), alias))

    async def aliases(self, model: str, after: str, limit: int) -> list[Alias]:
        """Return a page of a model's aliases in byte order of their names; empty only at the end."""
        return await self._store.read(lambda view: view.aliases(find_model(view, model), after, limit))

    async def history(self, model: str, alias: str, before: int, limit: int) -> list[Event]:
        """Return a page of events, newest first: of everything (empty model), of a model, or of an alias."""

        def rule(view: View) -> list[Event]:
            if not model:
                return view.events_before(before, limit)
            found = find_model(view, model)
            if alias and not view.is_known(found, alias):
                find_alias(view, found, alias)
            return view.events_before(before, limit, found, alias or None)

        return await self._store.read(rule)


def find_alias(view: View, model: Model, alias: str) -> Alias:
    """Return an alias; raises ALIAS_NOT_FOUND."""
    found = view.alias(model, alias)
    if found is None:
        raise NotFoundError(
            "ALIAS_NOT_FOUND", f"model {model.name!r} has no alias {alias!r}", model=model.name, alias=alias
        )
    return found


def _promote(
    transaction: Transaction,
    time_ms: int,
    model: Model,
    alias: str,
    *,
    state: AliasState,
    etag: str,
    origin: Origin,
    proof: Proof | None,
    waves: WavePlan | None,
) -> Move:
    current = transaction.alias(model, alias)
    _check_etag(model, alias, etag, etags.ABSENT if current is None else current.etag)
    for version in state.versions():
        find_version(transaction, model, version)
    before = None if current is None else current.state
    if current is None or before != state or proof != current.proof:  # the very same promotion again is no new claim
        protection.check(transaction, time_ms, model, alias, before=before, after=state, proof=proof)
    if current is not None and before == state:
        if waves is None or waves.shares_ppm[0] == EVERY_NODE_PPM:
            _reach_all(transaction, time_ms, model, alias, origin)
        return Move(current, before)
    previous = 0 if current is None else current.state.version
    event = record(
        transaction,
        time_ms,
        origin,
        AliasMoved(model.name, alias, MoveKind.PROMOTE, before, state, proof, waves),
        model=model,
        add=lambda revision: _entry(model.name, alias, revision, state, previous),
        remove=None if current is None else _entry_of(current),
    )
    transaction.push(model, alias, state.version, event.revision)
    if waves is None or waves.shares_ppm[0] == EVERY_NODE_PPM:
        transaction.end_waves(model, alias)
    else:
        transaction.set_wave(model, alias, event.revision, waves.shares_ppm[0])
    return Move(find_alias(transaction, model, alias), before)


def _reach_all(transaction: Transaction, time_ms: int, model: Model, alias: str, origin: Origin) -> None:
    """Bring a move that still goes out in waves to every node at once."""
    newest = next((wave for wave in transaction.waves(model) if wave.alias == alias), None)
    if newest is not None:
        change = WaveReached(model.name, alias, newest.revision, EVERY_NODE_PPM)
        record(transaction, time_ms, origin, change, model=model)
        transaction.end_waves(model, alias)


def _rollback(
    transaction: Transaction,
    time_ms: int,
    model: Model,
    alias: str,
    *,
    to_version: int,
    etag: str,
    origin: Origin,
) -> Move:
    current = find_alias(transaction, model, alias)
    _check_etag(model, alias, etag, current.etag)
    depth = _target_depth(transaction, model, current, to_version)
    after = transaction.stack_state(model, alias, depth)
    previous = transaction.stack_state(model, alias, depth - 1).version if depth > 1 else 0
    event = record(
        transaction,
        time_ms,
        origin,
        AliasMoved(model.name, alias, MoveKind.ROLLBACK, current.state, after),
        model=model,
        add=lambda revision: _entry(model.name, alias, revision, after, previous),
        remove=_entry_of(current),
    )
    transaction.cut(model, alias, depth, event.revision)
    transaction.end_waves(model, alias)
    return Move(find_alias(transaction, model, alias), current.state)


def _target_depth(transaction: Transaction, model: Model, current: Alias, to_version: int) -> int:
    """Return the depth of the promotion that a rollback brings back in force."""
    where = {"model": model.name, "alias": current.name}
    depth = transaction.stack_depth(model, current.name)
    if to_version in {0, current.state.version} and depth == 1:
        raise FailedPreconditionError(
            "NOTHING_TO_ROLL_BACK",
            f"alias {current.name!r} of model {model.name!r} has no earlier promotion to go back to",
            **where,
        )
    if to_version == 0:
        return depth - 1
    if to_version == current.state.version:
        raise FailedPreconditionError(
            "NOTHING_TO_ROLL_BACK",
            f"alias {current.name!r} of model {model.name!r} names version {to_version} already",
            version=to_version,
            **where,
        )
    found = transaction.stack_find(model, current.name, to_version)
    if found is None:
        raise FailedPreconditionError(
            "NEVER_PROMOTED",
            f"version {to_version} is not among the promotions of alias {current.name!r} of model {model.name!r} that"
            " a rollback can go back to",
            version=to_version,
            **where,
        )
    return found


def _check_etag(model: Model, alias: str, expected: str, actual: str) -> None:
    etags.check(expected, actual, f"alias {alias!r} of model {model.name!r}", model=model.name, alias=alias)


def _entry(model: str, alias: str, revision: int, state: AliasState, previous: int) -> Fact:
    return state_digest.alias_entry(model, alias, revision, documents.state_fact(state), previous)


def _entry_of(alias: Alias) -> Fact:
    previous = alias.rollback_versions[0] if alias.rollback_versions else 0
    return _entry(alias.model, alias.name, alias.revision, alias.state, previous)
