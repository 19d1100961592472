"""What every store promises to the rules. A new engine is added to FACTORIES and passes the same tests."""

from __future__ import annotations

import asyncio
import threading

import pytest

from neuralmesh_server import canonical, state_digest
from neuralmesh_server.errors import NotFoundError, UnavailableError
from neuralmesh_server.registry.catalog import Catalog, find_model
from neuralmesh_server.registry.ledger import record
from neuralmesh_server.registry.promotion import Promotions
from neuralmesh_server.registry.records import Actor, AliasState, FileEntry, Manifest, NodeRegistered, Origin
from neuralmesh_server.registry.store_sqlite import SqliteStore
from neuralmesh_server.registry.tracing import Tracer

FACTORIES = {"sqlite": lambda folder: SqliteStore(folder / "registry.sqlite")}

ANN = Origin(Actor("ann"), "why")


class EveryArtifact:
    """Says that every artifact is stored with three bytes."""

    async def sizes(self, digests):
        return dict.fromkeys(digests, 3)


class Clock:
    """Counts milliseconds, one a call."""

    def __init__(self):
        self.now = 1_700_000_000_000

    def __call__(self):
        self.now += 1
        return self.now


def manifest(number: int, **fields) -> Manifest:
    file = FileEntry("model.onnx", 3, f"sha256:{number:064x}")
    return Manifest("onnx", (file,), **fields)


@pytest.fixture(params=FACTORIES)
def open_store(request, tmp_path):
    return lambda: FACTORIES[request.param](tmp_path)


@pytest.fixture
def store(open_store):
    opened = open_store()
    yield opened
    opened.close()


@pytest.fixture
def catalog(store):
    return Catalog(store, EveryArtifact(), Clock())


@pytest.fixture
def promotions(store):
    return Promotions(store, Clock())


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
            [view.digest_at(revision) for revision in range(7)],
            view.remembered("once"),
        )

    first = open_store()
    catalog, promotions = Catalog(first, EveryArtifact(), Clock()), Promotions(first, Clock())
    await catalog.create_model("digits", "of hands", ANN)
    await catalog.create_version("digits", manifest(1, metadata=(("a", "b"), ("ä", "ß"))), ANN)
    await catalog.create_version("digits", manifest(2), Origin(Actor("bob", authenticated=True), request_id="once"))
    await promotions.promote("digits", "production", AliasState(1), "", ANN)
    await promotions.promote("digits", "production", AliasState(2), "", ANN)
    await Tracer(first, Clock()).register("edge-1", b"k" * 32, ANN)
    before = await first.read(everything)
    first.close()
    second = open_store()
    assert await second.read(everything) == before
    assert before[0].revision == 6
    second.close()


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
