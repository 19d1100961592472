"""What every store promises: the conformance suite of the Store and Ledger protocols."""

from __future__ import annotations

import asyncio

import pytest

from neuralmesh_server.errors import ResourceExhaustedError, UnavailableError
from neuralmesh_server.metrics.records import LoadState, Tallies
from neuralmesh_server.metrics.store import Retention
from neuralmesh_server.metrics.store_sqlite import FILE_NAME, SqliteStore
from neuralmesh_server.settings import SettingsError
from tests.metrics.samples import counts, encoded, held, histogram, issuer, new_id, reported


async def add(store, *deltas, now_ms=1000):
    """Add counts in one transaction."""

    def work(ledger):
        for each in deltas:
            ledger.add_counts(each, now_ms)

    await store.write(work)


async def test_counts_add_up(store):
    """Requests, rows, errors and latencies of two deltas add up; times are those of the first and the last."""
    await add(store, counts(requests=2, rows=5, errors={"INTERNAL": 1}, latencies=(0.5, 0.25)), now_ms=1000)
    await add(
        store, counts(requests=1, rows=1, errors={"INTERNAL": 2, "UNKNOWN": 1}, latencies=(4.0, 0.0)), now_ms=3000
    )
    totals = await store.read(lambda view: view.version("digits", 1))
    assert (totals.requests, totals.rows, totals.errors) == (3, 6, {"INTERNAL": 3, "UNKNOWN": 1})
    assert totals.latency == histogram(0.5, 0.25, 4.0, 0.0)
    assert (totals.first_request_ms, totals.last_request_ms) == (1000, 3000)
    assert (totals.outcomes, totals.correct, totals.size_bytes) == (0, 0, None)


async def test_errors_alone_are_no_request(store):
    """A delta without answered requests leaves the request times open."""
    await add(store, counts(requests=0, rows=0, errors={"INTERNAL": 1}, latencies=()))
    totals = await store.read(lambda view: view.version("digits", 1))
    assert (totals.first_request_ms, totals.last_request_ms, totals.latency.count) == (None, None, 0)


@pytest.mark.parametrize("scales", [(5, 2, 5), (0, 7, -3), (9, 9, 9), (-10, 5, 0), (5, -1, 5)])
async def test_histograms_of_mixed_scales_add_exactly(store, scales):
    """Histograms of any scales add up to the one that would have been recorded at the coarsest, at most 5."""
    values = [(0.001, 3.0, 1.0), (0.002, 0.004), (1e-9, 2e5, 0.75)]
    for scale, part in zip(scales, values, strict=True):
        await add(store, counts(latencies=part, scale=scale))
    totals = await store.read(lambda view: view.version("digits", 1))
    expected = histogram(*values[0], *values[1], *values[2], scale=min(5, *scales))
    assert totals.latency.buckets == expected.buckets
    assert (totals.latency.scale, totals.latency.min, totals.latency.max) == (
        expected.scale,
        expected.min,
        expected.max,
    )
    assert totals.latency.sum == pytest.approx(expected.sum)


async def test_failed_work_leaves_nothing_behind(store):
    """What a piece of work changed before it raised is not there, and its neighbours are."""

    def failing(ledger):
        ledger.add_counts(counts(), 1)
        raise UnavailableError("NOT_SERVING", "test")

    results = await asyncio.gather(
        store.write(lambda ledger: ledger.add_counts(counts(version=2), 1)),
        store.write(failing),
        store.write(lambda ledger: ledger.add_counts(counts(version=3), 1)),
        return_exceptions=True,
    )
    assert isinstance(results[1], UnavailableError)
    assert [totals.version for totals in await store.read(lambda view: view.versions())] == [2, 3]


async def test_versions_come_in_order_and_from_behind_a_key(store):
    """Listing is by model, then number; `after` and `limit` cut it; a model narrows it."""
    keys = [("b", 10), ("a", 2), ("b", 9), ("a", 1), ("a.b", 1)]
    await add(store, *(counts(model, version) for model, version in keys))

    async def listed(*arguments, **named):
        return [(t.model, t.version) for t in await store.read(lambda view: view.versions(*arguments, **named))]

    assert await listed() == sorted(keys)
    assert await listed("b") == [("b", 9), ("b", 10)]
    assert await listed(after=("a", 1), limit=2) == [("a", 2), ("a.b", 1)]
    assert await listed("a", after=("a", 2)) == []


async def test_skipped_ranges_are_taken_once_each(store):
    """A skipped delta is found once, wherever in its range it is; what was not skipped is never found."""

    def work(ledger):
        ledger.add_missing("edge", 1, 3, 7)
        ledger.add_missing("edge", 1, 10, 10)
        ledger.add_missing("edge", 2, 1, 0)
        taken = [ledger.take_missing("edge", 1, number) for number in (5, 5, 3, 7, 2, 8, 10, 10)]
        return taken, ledger.tallies().missing_deltas

    taken, left = await store.write(work)
    assert taken == [True, False, True, True, False, False, True, False]
    assert left == 2


async def test_held_versions_are_replaced_and_known_with_their_size(store):
    """What a node holds is replaced as a whole; its versions appear with size and without requests."""
    await store.write(lambda ledger: ledger.put_loaded("edge", [held(), held(version=2, size=0)]))
    await store.write(lambda ledger: ledger.put_loaded("edge", [held(version=2, state=LoadState.FAILED, size=0)]))
    loaded, versions = await store.read(lambda view: (view.loaded(), view.versions()))
    assert loaded == {"edge": (held(version=2, state=LoadState.FAILED, size=0),)}
    assert [(t.version, t.size_bytes, t.requests) for t in versions] == [(1, 1000, 0), (2, None, 0)]


async def test_the_first_report_of_a_prediction_stays(store):
    """A prediction id that is reported again keeps its first labels and counts once."""
    identifier = new_id(issuer())
    await store.write(lambda ledger: ledger.add_predictions([(reported(identifier, (1,)), None)]))
    await store.write(lambda ledger: ledger.add_predictions([(reported(identifier, (2,)), None)]))
    stored, tallies = await store.read(lambda view: (view.prediction(identifier), view.tallies()))
    assert (stored.labels, stored.truth) == (encoded(1), None)
    assert tallies == Tallies(predictions=1, prediction_bytes=2)


async def test_only_the_newest_predictions_are_kept(tmp_path):
    """Beyond the limit and one batch the oldest predictions go, by number and by bytes; tallies follow."""
    store = SqliteStore(tmp_path, Retention(predictions=20, prediction_bytes=1000, batch=5))
    ids = issuer()
    names = [new_id(ids) for _ in range(60)]
    for name in names:
        await store.write(lambda ledger, name=name: ledger.add_predictions([(reported(name, (1,)), None)]))

    def kept(view):
        return [name for name in names if view.prediction(name)], view.tallies()

    found, tallies = await store.read(kept)
    assert found == names[-len(found) :]
    assert 20 <= len(found) <= 25
    assert (tallies.predictions, tallies.prediction_bytes) == (len(found), 2 * len(found))
    large = new_id(ids)
    await store.write(lambda ledger: ledger.add_predictions([(reported(large, (1,) * 990), None)]))
    found, tallies = await store.read(kept)
    assert tallies.prediction_bytes <= 1000
    assert await store.read(lambda view: view.prediction(large)) is not None
    assert tallies.predictions == len(found) + 1
    store.close()


async def test_pending_outcomes_are_bounded_and_the_loss_is_counted(tmp_path):
    """Beyond the limit and one batch the oldest pending outcomes go and are counted as expired."""
    store = SqliteStore(tmp_path, Retention(pending=20, batch=5))
    ids = issuer()
    names = [new_id(ids) for _ in range(60)]
    for name in names:
        await store.write(lambda ledger, name=name: ledger.add_pending(name, encoded(1)))
    found, tallies = await store.read(lambda view: ([n for n in names if view.pending(n)], view.tallies()))
    assert found == names[-len(found) :]
    assert 20 <= tallies.pending == len(found) <= 25
    assert tallies.expired_outcomes == 60 - len(found)
    assert tallies.pending_bytes == 2 * len(found)
    store.close()


async def test_everything_is_there_after_a_reopening(tmp_path):
    """A closed store opens with all it had."""
    store = SqliteStore(tmp_path)
    await add(store, counts())
    await store.write(lambda ledger: ledger.add_unresolved_errors({"NOT_FOUND": 4}))
    before = await store.read(lambda view: (view.versions(), view.tallies()))
    store.close()
    again = SqliteStore(tmp_path)
    assert await again.read(lambda view: (view.versions(), view.tallies())) == before
    again.close()


async def test_a_closed_store_refuses_work(tmp_path):
    """After closing, reads and writes raise NOT_SERVING; closing twice is closing once."""
    store = SqliteStore(tmp_path)
    store.close()
    store.close()
    for attempt in (store.read, store.write):
        with pytest.raises(UnavailableError, match="stopping"):
            await attempt(lambda view: view.tallies())


def test_a_folder_belongs_to_one_store(tmp_path):
    """A second store on the same folder is refused, and permitted once the first has closed."""
    first = SqliteStore(tmp_path)
    with pytest.raises(SettingsError, match="another metrics service uses the data folder"):
        SqliteStore(tmp_path)
    first.close()
    SqliteStore(tmp_path).close()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """A foreign file in the database's place is named, not overwritten, and the folder is not left locked."""
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 100)
    for _ in range(2):
        with pytest.raises(SettingsError, match=FILE_NAME):
            SqliteStore(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes().startswith(b"not a database")


async def test_a_full_disk_refuses_and_loses_nothing(tmp_path):
    """When the file cannot grow, writes raise STORAGE_FULL; what was committed stays and is served."""
    store = SqliteStore(tmp_path, max_pages=30)  # as if the disk had room for no more
    await add(store, counts())
    ids = issuer()
    many = [(reported(new_id(ids), (1,) * 500), None) for _ in range(200)]
    with pytest.raises(ResourceExhaustedError, match="no space") as caught:
        await store.write(lambda ledger: ledger.add_predictions(many))
    assert caught.value.reason == "STORAGE_FULL"
    totals, tallies = await store.read(lambda view: (view.version("digits", 1), view.tallies()))
    assert (totals.requests, tallies.predictions) == (1, 0)
    await store.write(lambda ledger: ledger.add_predictions(many[:5]))
    store.close()
    store = SqliteStore(tmp_path)
    await store.write(lambda ledger: ledger.add_predictions(many))
    assert (await store.read(lambda view: view.tallies())).predictions == 200
    store.close()


async def test_a_caller_that_leaves_disturbs_nobody(store):
    """Work whose caller was cancelled is done whole or not at all, and the work around it is done."""
    writes = [
        asyncio.create_task(store.write(lambda ledger, v=v: ledger.add_counts(counts(version=v), 1)))
        for v in range(1, 41)
    ]
    await asyncio.sleep(0)
    for task in writes[::2]:
        task.cancel()
    await asyncio.gather(*writes, return_exceptions=True)
    versions = await store.read(lambda view: view.versions())
    assert {totals.version for totals in versions} >= set(range(2, 41, 2))
    assert all(totals.requests == 1 and totals.latency.count == 1 for totals in versions)
