"""The rules of promotion, protection and policy against a plain list."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from neuralmesh_server.errors import AbortedError, FailedPreconditionError, NotFoundError
from neuralmesh_server.proof_seal import Proof, ProofSource, sealed
from neuralmesh_server.registry import documents
from neuralmesh_server.registry.catalog import Catalog
from neuralmesh_server.registry.policies import Policies
from neuralmesh_server.registry.promotion import Promotions
from neuralmesh_server.registry.protection import Protections
from neuralmesh_server.registry.records import (
    Actor,
    AliasMoved,
    AliasState,
    Arm,
    FileEntry,
    Manifest,
    Origin,
    StickyKey,
    StickySource,
)
from neuralmesh_server.registry.records_policy import AliasProtection, BatchingPolicy, ModelPolicy, ProtectionChange
from neuralmesh_server.registry.store_sqlite import SqliteStore
from neuralmesh_server.registry.tracing import Tracer
from neuralmesh_server.state_digest import StateDigest, alias_entry, model_entry, policy_entry, version_entry

ANN = Origin(Actor("ann"))
VERSIONS = 4
KEY = bytes(range(32))


class EveryArtifact:
    async def sizes(self, digests):
        return dict.fromkeys(digests, 0)


def states():
    """Return states over versions of which the last does not exist; arms differ from the stable version."""

    def with_arms(version):
        arms = st.none() | st.builds(
            Arm, st.integers(1, VERSIONS + 1).filter(lambda arm: arm != version), st.sampled_from([0, 5, 1_000_000])
        )
        sticky = st.sampled_from([None, StickyKey(StickySource.PARAMETER, "user"), StickyKey(StickySource.REQUEST_ID)])
        return st.builds(AliasState, st.just(version), arms, arms, sticky)

    return st.integers(1, VERSIONS + 1).flatmap(with_arms)


def brings_in(before: AliasState, after: AliasState) -> set[int]:
    """Return the versions that get more exposure than before, written down once more from the contract's words."""
    found = {after.version} - {before.version}
    canary, old = after.canary, before.canary
    if canary and canary.version != before.version and canary.share_ppm:
        same = old is not None and old.version == canary.version
        if not same or old.share_ppm < canary.share_ppm:
            found.add(canary.version)
    if after.shadow and after.shadow.version not in before.versions():
        found.add(after.shadow.version)
    return found


class PromotionMachine(RuleBasedStateMachine):
    """An alias moved at random beside a list; `etag` is any that was ever seen, or none."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.store = SqliteStore(Path(self.folder.name) / "registry.sqlite")
        self.promotions = Promotions(self.store, lambda: 0)
        self.stack: list[tuple[AliasState, Proof | None]] = []
        self.revision = 0
        self.moves: list[tuple[int, AliasState]] = []
        self.protection: AliasProtection | None = None
        self.policy: ModelPolicy | None = None
        self.digests: dict[int, str] = {}

    def run(self, work):
        return self.loop.run_until_complete(work)

    @initialize()
    def create(self):
        catalog = Catalog(self.store, EveryArtifact(), lambda: 0)
        self.run(catalog.create_model("digits", "", ANN))
        for number in range(1, VERSIONS + 1):
            files = (FileEntry("f", 0, f"sha256:{number:064x}"),)
            version = self.run(catalog.create_version("digits", Manifest("onnx", files), ANN))
            self.digests[number] = version.digest
        self.run(Tracer(self.store, lambda: 0).register("edge-1", KEY, ANN))

    def etag(self, choice: int) -> str:
        """Return none, the current etag, or a stale one."""
        return ["", f'"{self.revision}"', f'"{self.revision + 7}"'][choice]

    def proof(self, candidate: int) -> Proof | None:
        """Return a proof of a version against the alias's, or None for candidate 0 or one that does not exist."""
        if candidate not in self.digests:
            return None
        baseline = self.stack[-1][0].version if self.stack else 1
        digests = self.digests[baseline], self.digests[candidate]
        made = Proof(
            *("digits", baseline, digests[0], candidate, digests[1], ProofSource.GOLDEN, "sha256:" + 64 * "0"),
            *(1, 1, 1, 1, "0.0", 0, 0, 0, 1, 1, 1, 1, "edge-1", 0),
        )
        return sealed(made, KEY)

    @rule(state=states(), choice=st.integers(0, 2), candidate=st.integers(0, VERSIONS))
    def promote(self, state, choice, candidate):
        """Promote pushes, unless the etag is stale, a version unknown, the state in force, or a proof is missing."""
        proof = self.proof(candidate)
        try:
            move = self.run(self.promotions.promote("digits", "live", state, self.etag(choice), ANN, proof=proof))
        except AbortedError:
            assert choice == 2
            return
        except NotFoundError:
            assert max(state.versions()) > VERSIONS
            return
        except FailedPreconditionError as error:
            brought = brings_in(self.stack[-1][0], state) if self.stack else set()
            reason = error.reason
            if reason == "PROOF_REQUIRED":
                assert (proof, bool(self.protection), bool(brought)) == (None, True, True)
            else:
                assert reason == "PROOF_INVALID"
                assert candidate not in state.versions() or (self.protection and brought != {candidate})
            return
        assert choice != 2
        assert max(state.versions()) <= VERSIONS
        assert move.before == (self.stack[-1][0] if self.stack else None)
        if self.stack and self.stack[-1][0] == state:
            assert move.alias.revision == self.revision
            return
        if self.stack and self.protection:
            assert brings_in(self.stack[-1][0], state) in (set(), {candidate})
        self.stack.append((state, proof))
        self.moved(move)

    @precondition(lambda self: self.stack)
    @rule(arm=st.sampled_from(["canary", "shadow"]), share=st.sampled_from([0, 5, 9]), candidate=st.integers(0, 2))
    def adjust(self, arm, share, candidate):
        """A promotion that changes one arm of the state in force is a promotion like others."""
        state = self.stack[-1][0]
        held = getattr(state, arm)
        version = held.version if held else 1 + state.version % VERSIONS
        changed = dataclasses.replace(state, **{arm: Arm(version, share)})
        self.promote(changed, 0, version if candidate else 0)

    @rule(to=st.integers(0, VERSIONS), choice=st.integers(0, 2))
    def rollback(self, to, choice):
        """Rollback cuts the list to the wanted promotion, or is refused and changes nothing."""
        versions = [state.version for state, _ in self.stack]
        try:
            move = self.run(self.promotions.rollback("digits", "live", to, self.etag(choice), ANN))
        except AbortedError:
            assert choice == 2
            return
        except NotFoundError:
            assert not self.stack
            return
        except FailedPreconditionError as error:
            if error.reason == "NEVER_PROMOTED":
                assert to not in versions
                assert to != 0
            else:
                assert len(self.stack) == 1 or to == versions[-1]
            return
        assert choice != 2
        assert move.before == self.stack[-1][0]
        self.stack.pop()
        while to and self.stack[-1][0].version != to:
            self.stack.pop()
        self.moved(move)

    @rule(protection=st.sampled_from([None, AliasProtection(), AliasProtection(min_agreement_ppm=1_000_000)]))
    def protect(self, protection):
        """A protection is replaced whole, whether or not the alias exists."""
        change = self.run(Protections(self.store, lambda: 0).protect("digits", "live", protection, ANN))
        assert change == ProtectionChange(protection, self.protection)
        self.protection = protection

    @rule(rows=st.sampled_from([None, 2, 64]))
    def set_policy(self, rows):
        """A policy is replaced whole, and no move of an alias touches it."""
        policy = ModelPolicy(batching=None if rows is None else BatchingPolicy(rows, 0))
        change = self.run(Policies(self.store, lambda: 0).set("digits", policy, ANN))
        assert (change.model.policy, change.before) == (policy, self.policy)
        self.policy = policy

    def moved(self, move):
        assert move.alias.revision > self.revision
        self.revision = move.alias.revision
        self.moves.append((self.revision, move.alias.state))

    @invariant()
    def same(self):
        """Alias, history, policy and state digest say what the list says."""
        if not self.digests:
            return
        state = StateDigest()
        state.add(model_entry("digits", 1))
        for number, digest in self.digests.items():
            state.add(version_entry("digits", number, digest))
        if self.policy is not None:
            batching = self.policy.batching
            form = {} if batching is None else {"batching": {"max_rows": batching.max_rows, "max_delay_us": 0}}
            state.add(policy_entry("digits", form))
        if self.stack:
            alias = self.run(self.promotions.alias("digits", "live"))
            assert (alias.state, alias.proof) == self.stack[-1]
            below = [one.version for one, _ in self.stack[-2::-1]]
            assert (list(alias.rollback_versions), alias.protection) == (below, self.protection)
            assert alias.etag == f'"{self.revision}"'
            history = self.run(self.promotions.history("digits", "live", 10**6, 1000))
            moves = [event for event in history[::-1] if isinstance(event.change, AliasMoved)]
            assert [(event.revision, event.change.after) for event in moves] == self.moves
            previous = below[0] if below else 0
            state.add(alias_entry("digits", "live", self.revision, documents.state_fact(alias.state), previous))
        assert self.run(self.store.read(lambda view: view.head())).state_digest == state.value()

    def teardown(self):
        self.store.close()
        self.loop.close()
        self.folder.cleanup()


TestPromotion = PromotionMachine.TestCase
TestPromotion.settings = settings(max_examples=25, stateful_step_count=25, suppress_health_check=list(HealthCheck))
