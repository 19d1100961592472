"""What every store promises to the rules. A new engine is added to `stores.FACTORIES` and passes the same tests."""

from __future__ import annotations

import asyncio
import threading

import pytest

from neuralmesh_server import canonical, proof_seal, state_digest
from neuralmesh_server.errors import NotFoundError, UnavailableError
from neuralmesh_server.registry.catalog import Catalog, find_model
from neuralmesh_server.registry.checks import Checks
from neuralmesh_server.registry.ledger import record
from neuralmesh_server.registry.mesh.assignments import Assignments
from neuralmesh_server.registry.policies import Policies
from neuralmesh_server.registry.promotion import Promotions
from neuralmesh_server.registry.protection import Protections
from neuralmesh_server.registry.records import (
    Actor,
    AliasState,
    Arm,
    NodeRegistered,
    Origin,
    StickyKey,
    StickySource,
)
from neuralmesh_server.registry.records_checks import Finding
from neuralmesh_server.registry.records_policy import (
    AliasProtection,
    BatchingPolicy,
    ModelPolicy,
    ReceiptContent,
    ReceiptMode,
    ReceiptPolicy,
)
from neuralmesh_server.registry.tracing import Tracer
from tests.registry.stores import ANN, ASSIGNMENT, PLAN, Clock, EveryArtifact, manifest


async def test_an_empty_store_is_at_zero(store):
    """An empty store is at revision 0 with the digest of the empty state, and lists nothing."""
    head = await store.read(lambda view: view.head())
    assert (head.revision, head.state_digest) == (0, state_digest.StateDigest().value())
    assert await store.read(lambda view: view.digest_at(0)) == head.state_digest
    assert await store.read(lambda view: view.digest_at(1)) is None
    assert await store.read(lambda view: (view.models("", 9), view.events_after(0, 9), view.all_aliases())) == (
        [],
        [],
        [],
    )


async def test_everything_comes_back_after_reopening(open_store):
    """Models, versions, aliases, keys, events and digests are the same in a store that is opened again."""

    def everything(view):
        model = find_model(view, "digits")
        return (
            view.head(),
            view.models("", 10),
            view.versions(model, 100, 10),
            view.all_aliases(),
            view.events_after(0, 100),
            view.node_key("edge-1"),
            [view.digest_at(revision) for revision in range(10)],
            view.remembered("once"),
            view.policies(),
            view.protection(model, "production"),
            view.protection(model, "staging"),
            view.exact_version(model),
            view.checks(model, None, 100, 10),
            view.checks(model, 2, 100, 10),
            view.check(model, 1, "evaluation", "sha256:2"),
            view.all_assignments(),
            view.waves(),
        )

    first = open_store()
    catalog, promotions = Catalog(first, EveryArtifact(), Clock()), Promotions(first, Clock())
    await catalog.create_model("digits", "of hands", ANN)
    await catalog.create_version("digits", manifest(1, metadata=(("a", "b"), ("ä", "ß"))), ANN)
    await catalog.create_version("digits", manifest(2), Origin(Actor("bob", authenticated=True), request_id="once"))
    await promotions.promote("digits", "production", AliasState(1), "", ANN)
    state = AliasState(2, Arm(1, 5), Arm(1, 1_000_000), StickyKey(StickySource.METADATA, "user-id"))
    await promotions.promote("digits", "production", state, "", ANN)
    await Tracer(first, Clock()).register("edge-1", b"k" * 32, ANN)
    policy = ModelPolicy(ReceiptPolicy(ReceiptMode.ALL, 0, ReceiptContent.PAYLOADS, 1, 2), BatchingPolicy(2, 3))
    await Policies(first, Clock()).set("digits", policy, ANN)
    protections = Protections(first, Clock())
    await protections.protect("digits", "production", AliasProtection(min_requests=7), ANN)
    await protections.protect("digits", "staging", AliasProtection(), ANN)
    await Assignments(first, Clock()).set(ASSIGNMENT, ANN)
    await promotions.promote("digits", "staging", AliasState(1), "", ANN, waves=PLAN)
    checks = Checks(first, Clock())
    check = await checks.record("digits", 1, Finding("evaluation", "sha256:1", "sha256:2", (("a", "1"),)), ANN)
    before = await first.read(everything)
    first.close()
    second = open_store()
    assert await second.read(everything) == before
    assert before[0].revision == 12
    assert before[-5:-2] == ([check], [], check)
    assert (len(before[-2]), len(before[-1])) == (1, 1)
    assert before[1][0].policy == policy
    assert (before[3][0].state, before[3][0].protection) == (state, AliasProtection(min_requests=7))
    assert before[-9:-5] == ({"digits": (policy, 7)}, AliasProtection(min_requests=7), AliasProtection(), None)
    second.close()


async def test_a_version_that_asks_for_exact_results_is_found(store, catalog):
    """Only a version of the model itself whose metadata says `batching: exact` counts."""
    for name in ("digits", "letters"):
        await catalog.create_model(name, "", ANN)
    await catalog.create_version("digits", manifest(1, metadata=(("a", "batching"), ("b", "exact"))), ANN)
    await catalog.create_version("digits", manifest(2, metadata=(("batching", "other"), ("c", "exact"))), ANN)
    await catalog.create_version("letters", manifest(3, metadata=(("a", "b"), ("batching", "exact"))), ANN)
    assert await store.read(lambda view: view.exact_version(find_model(view, "digits"))) is None
    assert await store.read(lambda view: view.exact_version(find_model(view, "letters"))) == 1


async def test_moves_in_force_are_those_of_any_arm(store, catalog, promotions):
    """A version is in force as an alias's own, its canary or its shadow; protections and later moves do not count."""
    await catalog.create_model("digits", "", ANN)
    for number in range(1, 4):
        await catalog.create_version("digits", manifest(number), ANN)
    await promotions.promote("digits", "a", AliasState(1), "", ANN)
    await promotions.promote("digits", "b", AliasState(2, canary=Arm(1, 0)), "", ANN)
    await promotions.promote("digits", "c", AliasState(2, shadow=Arm(1, 5)), "", ANN)
    await promotions.promote("digits", "d", AliasState(2), "", ANN)
    await Protections(store, Clock()).protect("digits", "a", AliasProtection(), ANN)

    def found(version, revision):
        def rule(view):
            moves = view.moves_in_force(find_model(view, "digits"), version, revision)
            return [(event.change.alias, event.revision) for event in moves]

        return store.read(rule)

    assert await found(1, 9) == [("a", 5), ("b", 6), ("c", 7)]
    assert await found(2, 9) == [("b", 6), ("c", 7), ("d", 8)]
    assert await found(1, 6) == [("a", 5), ("b", 6)]
    await promotions.promote("digits", "b", AliasState(3), "", ANN)
    assert await found(1, 10) == [("a", 5), ("c", 7)]
    assert await found(1, 9) == [("a", 5), ("b", 6), ("c", 7)]


async def test_a_protected_name_is_known_before_it_is_an_alias(store, catalog):
    """The log knows an alias from its first protection or move on, and never that of another model."""
    for name in ("digits", "letters"):
        await catalog.create_model(name, "", ANN)
    await Protections(store, Clock()).protect("digits", "production", AliasProtection(), ANN)

    def known(view):
        return [view.is_known(find_model(view, name), "production") for name in ("digits", "letters")]

    assert await store.read(known) == [True, False]
    assert await store.read(lambda view: view.alias(find_model(view, "digits"), "production")) is None


async def test_the_proof_is_that_of_the_promotion_in_force(store, catalog, promotions):
    """After a rollback an alias shows the proof that came with what it went back to."""
    await catalog.create_model("digits", "", ANN)
    versions = [await catalog.create_version("digits", manifest(number), ANN) for number in (1, 2)]
    await Tracer(store, Clock()).register("edge-1", b"k" * 32, ANN)
    await promotions.promote("digits", "a", AliasState(1), "", ANN)
    proof = proof_seal.sealed(
        proof_seal.Proof(
            *("digits", 1, versions[0].digest, 2, versions[1].digest, proof_seal.ProofSource.RECORDED, "sha256:0"),
            *(1, 2, 1, 1, "0.5", 0, 0, 0, 1, 2, 3, 2**53 - 1, "edge-1", 5),
        ),
        b"k" * 32,
    )
    assert (await promotions.promote("digits", "a", AliasState(2), "", ANN, proof=proof)).alias.proof == proof
    assert (await promotions.promote("digits", "a", AliasState(1), "", ANN)).alias.proof is None
    assert (await promotions.rollback("digits", "a", 0, "", ANN)).alias.proof == proof
    assert (await promotions.alias("digits", "a")).proof == proof
    assert (await promotions.rollback("digits", "a", 0, "", ANN)).alias.proof is None


async def test_a_failed_rule_leaves_nothing(store, catalog):
    """What a rule wrote before it failed is not there, and the rules beside it in the same commit are."""

    def half(transaction):
        record(transaction, 1, ANN, NodeRegistered("edge-1", "0" * 16))
        transaction.insert_node_key("edge-1", b"k" * 32, 1)
        raise NotFoundError("MODEL_NOT_FOUND", "on purpose")

    results = await asyncio.gather(
        catalog.create_model("one", "", ANN),
        store.change(half),
        catalog.create_model("two", "", ANN),
        return_exceptions=True,
    )
    assert isinstance(results[1], NotFoundError)
    assert [event.revision for event in await store.read(lambda view: view.events_after(0, 9))] == [1, 2]
    assert [model.name for model in await store.read(lambda view: view.models("", 9))] == ["one", "two"]
    assert await store.read(lambda view: view.node_key("edge-1")) is None


async def test_a_defect_hits_only_its_own_rule(store, catalog):
    """An unexpected error, or a broken constraint, goes to who asked; the store goes on."""

    def defect(transaction):
        raise ZeroDivisionError

    def twice(transaction):
        transaction.insert_node_key("edge-1", b"k" * 32, 1)
        transaction.insert_node_key("edge-1", b"k" * 32, 1)

    results = await asyncio.gather(
        store.change(defect), catalog.create_model("one", "", ANN), store.change(twice), return_exceptions=True
    )
    assert isinstance(results[0], ZeroDivisionError)
    assert results[1].uid == 1
    assert isinstance(results[2], Exception)
    assert (await catalog.create_model("two", "", ANN)).uid == 2


async def test_a_reader_sees_one_state(store, catalog):
    """Between two looks of one rule nothing changes, while writers go on; the next rule sees their changes."""
    reading, written = threading.Event(), threading.Event()

    def look_twice(view):
        first = view.head().revision
        reading.set()
        assert written.wait(10)
        return first, view.head().revision, len(view.models("", 10))

    looking = asyncio.create_task(store.read(look_twice))
    await asyncio.to_thread(reading.wait, 10)
    await catalog.create_model("digits", "", ANN)
    written.set()
    assert await looking == (0, 0, 0)
    assert (await store.read(lambda view: view.head())).revision == 1


async def test_revisions_have_no_gaps(store, catalog, promotions):
    """Under concurrent changes, some of them refused, revisions are consecutive and every digest is recomputable."""
    await catalog.create_model("digits", "", ANN)
    await asyncio.gather(
        *(catalog.create_version("digits", manifest(number % 20), ANN) for number in range(40)),
        *(promotions.promote("digits", "production", AliasState(1 + number % 3), "", ANN) for number in range(40)),
        return_exceptions=True,
    )
    events = await store.read(lambda view: view.events_after(0, 1000))
    assert [event.revision for event in events] == list(range(1, len(events) + 1))
    assert sum(type(event.change).__name__ == "VersionCreated" for event in events) == 20
    for event in events:
        assert event.leaf_hash == canonical.leaf_hash(event.canonical)
    state = state_digest.StateDigest()
    state.add(state_digest.model_entry("digits", 1))
    for version in await catalog.versions("digits", 10**6, 100):
        state.add(state_digest.version_entry("digits", version.number, version.digest))
    for alias in await store.read(lambda view: view.all_aliases()):
        state.add(
            state_digest.alias_entry(
                "digits",
                alias.name,
                alias.revision,
                {"version": alias.state.version},
                alias.rollback_versions[0] if alias.rollback_versions else 0,
            )
        )
    head = await store.read(lambda view: view.head())
    assert head.state_digest == state.value()


async def test_listeners_hear_of_commits(store, catalog):
    """A listener is called after a commit, when a reader already sees it."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    store.on_commit(lambda: loop.call_soon_threadsafe(heard.set))
    await catalog.create_model("digits", "", ANN)
    async with asyncio.timeout(10):
        await heard.wait()
    assert (await store.read(lambda view: view.head())).revision == 1


async def test_waiting_changes_share_a_commit(store, catalog):
    """Changes that wait while another runs are committed together, and each is answered with its own result."""
    commits = []
    store.on_commit(lambda: commits.append(1))
    running, go_on = threading.Event(), threading.Event()

    def hold(transaction):
        running.set()
        assert go_on.wait(10)

    holding = asyncio.create_task(store.change(hold))
    await asyncio.to_thread(running.wait, 10)
    waiting = [asyncio.create_task(catalog.create_model(f"m{number:02}", "", ANN)) for number in range(50)]
    await asyncio.sleep(0)
    waiting[7].cancel()
    await asyncio.sleep(0)
    go_on.set()
    results = await asyncio.gather(holding, *waiting, return_exceptions=True)
    assert await store.change(lambda _: len(commits)) == 2
    assert isinstance(results[8], asyncio.CancelledError)
    assert [model.uid for model in results[1:] if not isinstance(model, BaseException)] == list(range(1, 50))


async def test_a_closed_store_says_so(open_store):
    """After close every call is refused as unavailable, and what was accepted before is stored."""
    store = open_store()
    pending = [
        asyncio.ensure_future(Catalog(store, EveryArtifact(), Clock()).create_model(f"m{number}", "", ANN))
        for number in range(20)
    ]
    await asyncio.sleep(0)
    store.close()
    store.close()
    assert [model.uid for model in await asyncio.gather(*pending)] == list(range(1, 21))
    with pytest.raises(UnavailableError):
        await store.read(lambda view: view.head())
    with pytest.raises(UnavailableError):
        await store.change(lambda transaction: transaction.head())
    again = open_store()
    assert (await again.read(lambda view: view.head())).revision == 20
    again.close()


async def test_pages_of_aliases_are_cut_by_bytes(store, catalog, promotions):
    """A page of aliases with large last moves ends early, and the next goes on behind it."""
    await catalog.create_model("digits", "", ANN)
    await catalog.create_version("digits", manifest(1), ANN)
    for number in range(20):
        await promotions.promote("digits", f"alias-{number:02}", AliasState(1), "", Origin(Actor("ann"), "r" * 100_000))
    page = await promotions.aliases("digits", "", 1000)
    assert 5 < len(page) < 20
    rest = await promotions.aliases("digits", page[-1].name, 1000)
    assert [alias.name for alias in (*page, *rest)] == [f"alias-{number:02}" for number in range(20)]


async def test_pages_are_cut_by_bytes(store, catalog):
    """A page of large items ends early instead of outgrowing an answer, and is never cut to nothing."""
    await catalog.create_model("digits", "", ANN)
    large = tuple((f"key{number:02}", "v" * 1024) for number in range(64))
    for number in range(40):
        await catalog.create_version("digits", manifest(number, metadata=large), ANN)
    page = await catalog.versions("digits", 10**6, 1000)
    assert 10 < len(page) < 40
    assert [version.number for version in page] == list(range(40, 40 - len(page), -1))
    events = await store.read(lambda view: view.events_after(0, 1000))
    assert [event.revision for event in events] == list(range(1, len(events) + 1))
    assert 10 < len(events) < 40
