"""Policies: how nodes treat the requests of a model. The registry keeps them and enforces none."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from neuralmesh_server import state_digest
from neuralmesh_server.errors import FailedPreconditionError
from neuralmesh_server.registry import documents, documents_policy, etags
from neuralmesh_server.registry.catalog import find_model
from neuralmesh_server.registry.ledger import Repeatable, record
from neuralmesh_server.registry.records import ModelPolicyChanged, PolicyChange

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.registry.records import Model, Origin
    from neuralmesh_server.registry.records_policy import ModelPolicy
    from neuralmesh_server.registry.store import Store, Transaction

_SET = Repeatable("SetModelPolicy", documents.policy_change_fact, documents.read_policy_change)


class Policies:
    """Sets policies.

    Args:
        store: Where they are kept.
        clock: Milliseconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def set(self, model: str, policy: ModelPolicy, origin: Origin, *, etag: str = "") -> PolicyChange:
        """Replace a model's policy; the one that already holds changes nothing.

        Raises:
            NotFoundError: MODEL_NOT_FOUND.
            AbortedError: ETAG_MISMATCH.
            FailedPreconditionError: BATCHING_REFUSED.
        """
        arguments: dict[str, Fact] = {"model": model, "policy": documents_policy.policy_fact(policy)}
        if etag:  # a key only where there is one: requests of before there were etags are remembered
            arguments["etag"] = etag

        def rule(transaction: Transaction) -> PolicyChange:
            now = self._clock()
            return _SET.once(
                transaction,
                now,
                origin,
                arguments,
                lambda: _set(transaction, now, find_model(transaction, model), policy, etag=etag, origin=origin),
            )

        return await self._store.change(rule)


def _set(
    transaction: Transaction, time_ms: int, model: Model, policy: ModelPolicy, *, etag: str, origin: Origin
) -> PolicyChange:
    etags.check(etag, etags.etag(model.policy_revision), f"the policy of model {model.name!r}", model=model.name)
    if policy.batching is not None:
        _check_batching(transaction, model)
    before = model.policy
    if policy == before:
        return PolicyChange(model, before)
    entry = _entry(model.name, policy)
    event = record(
        transaction,
        time_ms,
        origin,
        ModelPolicyChanged(model.name, before, policy),
        model=model,
        add=lambda _: entry,
        remove=None if before is None else _entry(model.name, before),
    )
    transaction.set_policy(model, event.revision)
    return PolicyChange(dataclasses.replace(model, policy=policy, policy_revision=event.revision), before)


def _check_batching(transaction: Transaction, model: Model) -> None:
    exact = transaction.exact_version(model)
    if exact is not None:
        raise FailedPreconditionError(
            "BATCHING_REFUSED",
            f"version {exact} of model {model.name!r} says batching: exact, so its requests are never joined",
            model=model.name,
            version=exact,
        )


def _entry(model: str, policy: ModelPolicy) -> Fact:
    return state_digest.policy_entry(model, documents_policy.policy_fact(policy))
