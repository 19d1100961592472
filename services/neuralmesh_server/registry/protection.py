"""Protections: the evidence that a promotion of an alias must bring along, and what makes evidence hold.

A proof that comes with a promotion is always held against the registry's own facts and the node's seal, so that history
never holds a forged one. How good it must be, and that there must be one, is the protection's to say.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from neuralmesh_server import proof_seal
from neuralmesh_server.errors import FailedPreconditionError
from neuralmesh_server.exposure import Exposure, brought_in
from neuralmesh_server.registry import documents_policy, etags
from neuralmesh_server.registry.catalog import find_model
from neuralmesh_server.registry.ledger import Repeatable, record
from neuralmesh_server.registry.records import AliasProtected
from neuralmesh_server.registry.records_policy import ProtectionChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.proof_seal import Proof
    from neuralmesh_server.registry.records import AliasState, Model, Origin
    from neuralmesh_server.registry.records_policy import AliasProtection
    from neuralmesh_server.registry.store import Store, Transaction, View

MILLION = 1_000_000
DEFAULT_AGE_SECONDS = 24 * 3600
CLOCK_SKEW_MS = 300_000
"""How far a node's clock may be ahead of the registry's."""

_PROTECT = Repeatable("ProtectAlias", documents_policy.protection_change_fact, documents_policy.read_protection_change)


class Protections:
    """Sets protections.

    Args:
        store: Where they are kept.
        clock: Milliseconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def protect(
        self, model: str, alias: str, protection: AliasProtection | None, origin: Origin, *, etag: str = ""
    ) -> ProtectionChange:
        """Replace the protection of an alias, which need not exist; None lifts it.

        Raises:
            NotFoundError: MODEL_NOT_FOUND.
            AbortedError: ETAG_MISMATCH.
        """
        arguments: dict[str, Fact] = {
            "model": model,
            "alias": alias,
            "protection": documents_policy.protection_fact(protection),
        }
        if etag:  # a key only where there is one: requests of before there were etags are remembered
            arguments["etag"] = etag

        def rule(transaction: Transaction) -> ProtectionChange:
            now = self._clock()

            def protect() -> ProtectionChange:
                found = find_model(transaction, model)
                current = etags.etag(transaction.protection_revision(found, alias))
                what = f"the protection of alias {alias!r} of model {model!r}"
                etags.check(etag, current, what, model=model, alias=alias)
                before = transaction.protection(found, alias)
                if before != protection:
                    change = AliasProtected(model, alias, before, protection)
                    event = record(transaction, now, origin, change, model=found)
                    transaction.set_protection(found, alias, event.revision)
                return ProtectionChange(protection, before)

            return _PROTECT.once(transaction, now, origin, arguments, protect)

        return await self._store.change(rule)


def check(
    view: View,
    time_ms: int,
    model: Model,
    alias: str,
    *,
    before: AliasState | None,
    after: AliasState,
    proof: Proof | None,
) -> None:
    """Hold a promotion against the alias's protection, and its proof against the facts.

    Args:
        view: Where keys, versions and the protection are found.
        time_ms: Now.
        model: The model of the alias.
        alias: The alias that moves.
        before: Its state, None where it does not exist; its first promotion needs no proof.
        after: Its state after the promotion.
        proof: What came along.

    Raises:
        FailedPreconditionError: PROOF_REQUIRED, PROOF_INVALID or PROOF_INSUFFICIENT.
    """
    if proof is not None:
        _check_facts(view, model, alias, before=before, after=after, proof=proof)
    protection = view.protection(model, alias)
    if protection is None or before is None:
        return
    brought = brought_in(_exposure(before), _exposure(after))
    if not brought:
        return
    if proof is None:
        raise FailedPreconditionError(
            "PROOF_REQUIRED",
            f"alias {alias!r} of model {model.name!r} is protected: a promotion of version {brought[0]} must carry a "
            f"proof against version {before.version}",
            model=model.name,
            alias=alias,
            version=brought[0],
            baseline=before.version,
        )
    if len(brought) > 1 or proof.candidate_version != brought[0]:
        expected = " and ".join(map(str, brought))
        raise _invalid(
            model,
            alias,
            f"covers version {proof.candidate_version}; the promotion brings in {expected}, and each needs a promotion "
            "and a proof of its own",
        )
    _check_age(model, alias, time_ms - proof.time_ms, protection)
    for limit, bound, actual in _beyond(protection, proof):
        raise FailedPreconditionError(
            "PROOF_INSUFFICIENT",
            f"the proof is beyond a limit of alias {alias!r} of model {model.name!r}: {limit} is {bound}, the proof "
            f"has {actual}",
            model=model.name,
            alias=alias,
            limit=limit,
            bound=bound,
            actual=actual,
        )


def _exposure(state: AliasState) -> Exposure:
    canary, shadow = state.canary, state.shadow
    return Exposure(
        version=state.version,
        canary=0 if canary is None else canary.version,
        canary_ppm=0 if canary is None else canary.share_ppm,
        shadow=0 if shadow is None else shadow.version,
    )


def _check_facts(
    view: View, model: Model, alias: str, *, before: AliasState | None, after: AliasState, proof: Proof
) -> None:
    if proof.model != model.name:
        raise _invalid(model, alias, f"is of model {proof.model!r}")
    if before is not None and proof.baseline_version != before.version:
        raise _invalid(
            model, alias, f"compares with version {proof.baseline_version}; the alias names version {before.version}"
        )
    if proof.candidate_version not in after.versions():
        raise _invalid(model, alias, f"is of candidate {proof.candidate_version}, which the promotion does not name")
    for number, digest in (
        (proof.baseline_version, proof.baseline_digest),
        (proof.candidate_version, proof.candidate_digest),
    ):
        version = view.version(model, number)
        if version is None or version.digest != digest:
            raise _invalid(model, alias, f"names another digest of version {number} than this registry knows")
    known = view.node_key(proof.node)
    if known is None or not proof_seal.is_sealed(proof, known[0]):
        raise _invalid(model, alias, f"does not carry the seal of a registered node {proof.node!r}")


def _check_age(model: Model, alias: str, age_ms: int, protection: AliasProtection) -> None:
    oldest = protection.max_proof_age_seconds or DEFAULT_AGE_SECONDS
    if age_ms > oldest * 1000:
        raise _invalid(model, alias, f"is {age_ms // 1000} s old; at most {oldest} s are permitted")
    if age_ms < -CLOCK_SKEW_MS:
        raise _invalid(model, alias, f"was made {-age_ms // 1000} s ahead of this registry's clock")


def _beyond(protection: AliasProtection, proof: Proof) -> Iterator[tuple[str, str, str]]:
    """Yield each limit that a proof is beyond: its name, its bound, and what the proof has."""
    source = protection.required_source
    if source is not None and proof.source is not source:
        yield "required_source", source.value, proof.source.value
    if proof.unverified and not protection.allow_unverified:
        yield "allow_unverified", "false", "answers that another server did not prove"
    least = protection.min_requests or 1
    compared = proof.requests - proof.baseline_errors - proof.new_errors  # what both versions answered
    if compared < least:
        yield "min_requests", str(least), str(compared)
    if not proof.rows:
        yield "rows", "1", "0"
    agreement = protection.min_agreement_ppm
    if proof.rows and proof.agreeing_rows * MILLION < agreement * proof.rows:
        yield "min_agreement_ppm", str(agreement), str(proof.agreeing_rows * MILLION // proof.rows)
    difference = protection.max_output_difference
    if difference and Decimal(proof.max_output_difference) > Decimal(difference):
        yield "max_output_difference", difference, proof.max_output_difference
    if proof.new_errors > protection.max_new_errors:
        yield "max_new_errors", str(protection.max_new_errors), str(proof.new_errors)
    ratio = protection.max_latency_ratio_ppm
    if ratio and proof.candidate_p50_ns * MILLION > ratio * proof.baseline_p50_ns:
        actual = -(-proof.candidate_p50_ns * MILLION // proof.baseline_p50_ns) if proof.baseline_p50_ns else 0
        yield "max_latency_ratio_ppm", str(ratio), str(actual) if proof.baseline_p50_ns else "infinite"


def _invalid(model: Model, alias: str, why: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "PROOF_INVALID",
        f"the proof for alias {alias!r} of model {model.name!r} {why}",
        model=model.name,
        alias=alias,
        why=why,
    )
