"""Deltas count once, whatever their order and however often they come."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.metrics import outcomes
from neuralmesh_server.metrics.ingest import MAX_SKIP, Receipt, ingest
from neuralmesh_server.metrics.nodes import survey
from neuralmesh_server.metrics.store_sqlite import SqliteStore
from tests.metrics.samples import EPOCH, counts, delta, encoded, held, histogram, issuer, new_id, reported


async def send(store, sent, now_ms=10_000):
    """Ingest a delta."""
    return await store.write(lambda ledger: ingest(ledger, sent, now_ms))


async def test_a_repeated_delta_counts_once(store):
    """The second time a delta comes it is a duplicate, and no figure moves."""
    sent = delta(versions=[counts(requests=3)], unresolved_errors={"NOT_FOUND": 2}, dropped_predictions=4)
    assert await send(store, sent) == Receipt(1, duplicate=False)
    before = await store.read(lambda view: (view.versions(), view.tallies(), view.epochs()))
    assert await send(store, sent, now_ms=20_000) == Receipt(1, duplicate=True)
    assert await store.read(lambda view: (view.versions(), view.tallies(), view.epochs())) == before


async def test_a_late_delta_counts_once_and_is_no_duplicate(store):
    """A delta that a later one overtook counts when it comes, then no more; until then it is missing."""
    for sequence, missing, duplicate in [(1, 0, False), (4, 2, False), (2, 1, False), (2, 1, True), (3, 0, False)]:
        receipt = await send(store, delta(sequence=sequence, versions=[counts()]))
        assert receipt == Receipt(max(sequence, 4) if sequence > 1 else 1, duplicate)
        assert (await store.read(lambda view: view.tallies())).missing_deltas == missing
    assert (await store.read(lambda view: view.version("digits", 1))).requests == 4


async def test_an_unknown_epoch_may_begin_anywhere(store):
    """A service without its database takes a running epoch from where it is and shows the rest as missing."""
    assert await send(store, delta(sequence=9, versions=[counts()])) == Receipt(9, duplicate=False)
    assert (await store.read(lambda view: view.tallies())).missing_deltas == 8


async def test_a_sequence_far_beyond_the_highest_is_refused(store):
    """In a known epoch at most a million deltas are skipped at once; more is refused and leaves nothing."""
    await send(store, delta(sequence=5))
    with pytest.raises(InvalidArgumentError) as caught:
        await send(store, delta(sequence=5 + MAX_SKIP + 1, versions=[counts()]))
    assert (caught.value.reason, caught.value.metadata["field"]) == ("FIELD_INVALID", "sequence")
    assert await store.read(lambda view: (view.tallies().missing_deltas, view.versions())) == (4, [])
    assert await send(store, delta(sequence=5 + MAX_SKIP)) == Receipt(5 + MAX_SKIP, duplicate=False)


async def test_a_late_delta_does_not_undo_what_a_later_one_said(store):
    """Held versions, revision and uptime are those of the highest sequence."""
    await send(store, delta(sequence=2, loaded=[held(version=2)], applied_revision=9, uptime_ms=2000), now_ms=20_000)
    await send(store, delta(sequence=1, loaded=[held(version=1)], applied_revision=4, uptime_ms=1000), now_ms=30_000)
    loaded, epoch = await store.read(lambda view: (view.loaded(), view.epoch("edge", EPOCH)))
    assert loaded["edge"] == (held(version=2),)
    assert (epoch.applied_revision, epoch.uptime_ms, epoch.last_seen_ms) == (9, 2000, 20_000)


async def test_an_older_epoch_counts_but_does_not_replace(store):
    """A delta of an older epoch adds its counts and leaves what the newer epoch holds."""
    await send(store, delta(epoch=EPOCH + 5, loaded=[held(version=2)]))
    await send(store, delta(epoch=EPOCH, versions=[counts()], loaded=[held(version=1)]))
    loaded, totals = await store.read(lambda view: (view.loaded(), view.version("digits", 1)))
    assert loaded["edge"] == (held(version=2),)
    assert totals.requests == 1


async def test_an_epoch_without_goodbye_is_one_gap(store):
    """A new epoch after one without a final delta is a gap; a goodbye, even a late one, is none."""

    async def gaps():
        epochs, loaded = await store.read(lambda view: (view.epochs(), view.loaded()))
        return survey(epochs, loaded, 10_000, 5000)[0].gaps

    await send(store, delta(epoch=1))
    assert await gaps() == 0
    await send(store, delta(epoch=2))
    assert await gaps() == 1
    await send(store, delta(epoch=2, sequence=2, final=True))
    await send(store, delta(epoch=3))
    assert await gaps() == 1
    await send(store, delta(epoch=1, sequence=2, final=True))
    assert await gaps() == 0


LATENCY = st.sampled_from([0.0, 2.0**-10, 2.0**-9, 3.0 * 2.0**-9, 1.0])


@st.composite
def traffic(draw):
    """Deltas of three epochs of two nodes, and an order in which each comes at least once."""
    made = []
    for node, epoch in (("edge", 1), ("edge", 2), ("core", 1)):
        ids = issuer(node, epoch)
        for sequence in range(1, draw(st.integers(1, 4)) + 1):
            latencies = draw(st.lists(LATENCY, max_size=3))
            version = draw(st.integers(1, 2))
            made.append(
                delta(
                    node,
                    sequence,
                    epoch=epoch,
                    versions=[
                        counts(
                            version=version,
                            requests=len(latencies),
                            errors=draw(st.dictionaries(st.sampled_from(["INTERNAL", "UNKNOWN"]), st.integers(1, 3))),
                            latencies=latencies,
                            scale=draw(st.sampled_from([3, 5, 7])),
                        )
                    ],
                    predictions=[reported(new_id(ids, version), (sequence,), version=version) for _ in latencies],
                    unresolved_errors={"NOT_FOUND": sequence},
                    dropped_predictions=sequence,
                )
            )
    repeats = draw(st.lists(st.sampled_from(made), max_size=6))
    return made, draw(st.permutations([*made, *repeats]))


@given(sent=traffic(), data=st.data())
@settings(max_examples=40)
def test_any_interleaving_with_repeats_gives_the_same_totals(sent, data):
    """Every order of the deltas, with repeats, and of outcomes among them ends in the totals of one pass in order."""
    made, order = sent
    known = [prediction for each in made for prediction in each.predictions]
    truths = {prediction.id: (1,) for prediction in known}
    early = [data.draw(st.integers(0, len(order))) for _ in truths]

    async def play():
        with tempfile.TemporaryDirectory() as folder:
            store = SqliteStore(Path(folder))
            counted = 0
            for position, each in enumerate([*order, None]):
                for (identifier, truth), when in zip(truths.items(), early, strict=True):
                    if when == position:
                        await store.write(lambda ledger, i=identifier, t=truth: outcomes.record(ledger, i, t))
                if each is not None:
                    counted += not (await send(store, each)).duplicate
            state = await store.read(lambda view: (view.versions(), view.tallies(), view.epochs()))
            store.close()
            return counted, state

    counted, (versions, tallies, epochs) = asyncio.run(play())
    assert counted == len(made)
    for totals in versions:
        own = [entry for each in made for entry in each.versions if entry.version == totals.version]
        expected = histogram(scale=5)
        for entry in own:
            if entry.latency.count:
                expected.merge(entry.latency)
        labels = [prediction.labels for prediction in known if prediction.version == totals.version]
        assert totals.requests == sum(entry.requests for entry in own)
        assert sum(totals.errors.values()) == sum(sum(entry.errors.values()) for entry in own)
        assert (totals.outcomes, totals.correct) == (len(labels), labels.count((1,)))
        assert totals.latency == expected
    assert (tallies.predictions, tallies.pending, tallies.missing_deltas) == (len(known), 0, 0)
    assert tallies.unresolved_errors == {"NOT_FOUND": sum(each.sequence for each in made)}
    assert sum(epoch.dropped_predictions for epoch in epochs) == sum(each.sequence for each in made)


async def test_an_outcome_that_waited_is_joined_by_the_delta(store):
    """The delta that reports a prediction counts the outcome that came before it."""
    identifier = new_id(issuer())
    assert await store.write(lambda ledger: outcomes.record(ledger, identifier, (1, 2))) is None
    await send(store, delta(versions=[counts()], predictions=[reported(identifier, (1, 3))]))
    totals, stored = await store.read(lambda view: (view.version("digits", 1), view.prediction(identifier)))
    assert (totals.outcomes, totals.correct) == (2, 1)
    assert stored.truth == encoded(1, 2)
