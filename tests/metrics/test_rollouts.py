"""Steps of rollouts: counted once, kept as they came for a judge, listed newest first, refused when they cannot be."""

from __future__ import annotations

import math
from dataclasses import replace

import apsw
import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh import AsyncClient
from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh_server.metrics.ingest import ingest
from neuralmesh_server.metrics.records import CODES
from neuralmesh_server.metrics.rollouts import ArmCounts, ShadowCounts, Step, StepDelta, UnitFailure
from neuralmesh_server.metrics.store import Retention
from neuralmesh_server.metrics.store_sqlite import FILE_NAME, SqliteStore
from neuralmesh_server.metrics.store_sqlite_rollouts import decode_failures, encode_failures
from neuralmesh_server.metrics.store_sqlite_schema import STEPS
from tests.metrics import samples
from tests.metrics.test_exposition import get, samples_of
from tests.metrics.test_service import refused

STEP = Step("digits", "production", 7, 1, 2, 50_000, 3)
EVERYTHING = {"after": 0, "limit": 100}


def step_delta(step=STEP, *, requests=10, failures=()):
    """Return a report of a step with a count of its own in every field."""
    return StepDelta(
        step=step,
        stable=ArmCounts(requests, 4, 3, 2),
        canary=ArmCounts(5, 4, len(failures) + 1, len(failures) + 1),
        shadow=ShadowCounts(9, 8, 7, 6, 0.5),
        unassigned=11,
        forgotten_units=12,
        first_failures=tuple(failures),
        dropped_failures=13,
    )


def message(*, failures=(), shadow=True, **changes):
    """Return a RolloutDelta."""
    fields = {"model": "digits", "alias": "production", "revision": 7, "stable_version": 1, "canary_version": 2}
    return pb.RolloutDelta(
        **{**fields, "share_ppm": 50_000, **changes},
        stable=pb.ArmDelta(requests=10, units=4, failures=3, failed_units=2),
        canary=pb.ArmDelta(requests=5, units=4, failures=3, failed_units=2)
        if changes.get("canary_version", 2)
        else None,
        shadow=pb.ShadowDelta(version=3, compared=9, agreed=8, failed=7, dropped=6, max_output_difference=0.5)
        if shadow
        else None,
        first_failures=failures,
    )


async def send(store, sent, now_ms=10_000):
    """Ingest a delta."""
    return await store.write(lambda ledger: ingest(ledger, sent, now_ms))


async def listed(store, model="", before=None, limit=100):
    """Return the totals of steps."""
    return await store.read(lambda view: view.rollouts(model, before=before, limit=limit))


async def test_reports_of_a_step_add_up_over_nodes(store):
    """All counts of all nodes add up; the largest difference stays; a repeated delta changes nothing."""
    first = samples.delta("edge", 1, rollouts=(step_delta(),))
    second = replace(step_delta(requests=1), shadow=ShadowCounts(1, 1, 0, 0, 0.25))
    for sent in (first, samples.delta("core", 1, rollouts=(second,)), first):
        await send(store, sent)
    (found,) = await listed(store)
    assert found.step == STEP
    assert (found.stable, found.canary) == (ArmCounts(11, 8, 6, 4), ArmCounts(10, 8, 2, 2))
    assert found.shadow == ShadowCounts(10, 9, 7, 6, 0.5)
    assert (found.unassigned, found.forgotten_units, found.dropped_failures) == (22, 24, 26)


async def test_the_log_keeps_every_report_as_it_came(store):
    """Each report stands in the log once, in the order of arrival, with its delta and its first failures."""
    failures = (UnitFailure(2**64 - 1, True, "INTERNAL", 5), UnitFailure(0, False, "DEADLINE_EXCEEDED", 9))
    sent = [
        samples.delta("edge", 1, rollouts=(step_delta(failures=failures),)),
        samples.delta("core", 4, epoch=samples.EPOCH + 1, rollouts=(step_delta(requests=2),)),
        samples.delta("edge", 2, rollouts=(step_delta(requests=3),)),
    ]
    for moment, delta in enumerate(sent):
        await send(store, delta, now_ms=moment)
        await send(store, delta, now_ms=moment)
    log = await store.read(lambda view: view.rollout_log(STEP, **EVERYTHING))
    assert [(one.node, one.epoch, one.sequence, one.arrived_ms) for one in log] == [
        ("edge", samples.EPOCH, 1, 0),
        ("core", samples.EPOCH + 1, 4, 1),
        ("edge", samples.EPOCH, 2, 2),
    ]
    assert [one.delta for one in log] == [delta.rollouts[0] for delta in sent]
    rest = await store.read(lambda view: view.rollout_log(STEP, after=log[0].number, limit=1))
    assert rest == log[1:2]


async def test_figures_of_two_states_never_add_up(store):
    """A revision that a restored registry gave again, with other arms or another share, is another step."""
    steps = [STEP, replace(STEP, canary_version=5), replace(STEP, share_ppm=1), replace(STEP, shadow_version=0)]
    for number, step in enumerate(steps, 1):
        await send(store, samples.delta(sequence=number, rollouts=(step_delta(step),)))
    assert [found.step for found in await listed(store)] == steps[::-1]
    assert await store.read(lambda view: view.rollout_log(replace(STEP, revision=8), **EVERYTHING)) == []


async def test_a_late_report_counts_once(store):
    """A delta that a later one overtook adds its report when it comes."""
    await send(store, samples.delta(sequence=1))
    await send(store, samples.delta(sequence=3, rollouts=(step_delta(requests=1),)))
    for _ in range(2):
        await send(store, samples.delta(sequence=2, rollouts=(step_delta(requests=5),)))
    (found,) = await listed(store)
    assert found.stable.requests == 6


async def test_old_reports_go_and_totals_stay(tmp_path):
    """Beyond the limit the oldest reports are dropped and counted; a step's totals lose nothing."""
    store = SqliteStore(tmp_path / "store", Retention(rollout_log=3, batch=2))
    for number in range(1, 11):
        await send(store, samples.delta(sequence=number, rollouts=(step_delta(requests=1),)))
    (found,) = await listed(store)
    log = await store.read(lambda view: view.rollout_log(STEP, **EVERYTHING))
    tallies = await store.read(lambda view: view.tallies())
    assert found.stable.requests == 10
    assert len(log) == tallies.rollout_log <= 5
    assert tallies.expired_rollout_log == 10 - len(log)
    assert log[-1].sequence == 10
    store.close()


async def test_a_database_from_before_rollouts_is_taken_over(tmp_path):
    """The tables of the release before get the new ones beside them, and keep what they hold."""
    folder = tmp_path / "store"
    folder.mkdir()
    connection = apsw.Connection(str(folder / FILE_NAME))
    connection.execute(STEPS[0])
    connection.execute("INSERT INTO epochs VALUES ('edge', ?, 4, 1, 2, 3, 5, 6, 0)", (samples.EPOCH,))
    connection.pragma("user_version", 1)
    connection.close()
    store = SqliteStore(folder)
    epoch = await store.read(lambda view: view.epoch("edge", samples.EPOCH))
    assert (epoch.committed, epoch.dropped_predictions, epoch.lost_receipts) == (4, 6, 0)
    await send(store, samples.delta(sequence=5, rollouts=(step_delta(),), lost_receipts=3))
    await send(store, samples.delta(sequence=6, lost_receipts=2))
    assert len(await listed(store)) == 1
    assert (await store.read(lambda view: view.epoch("edge", samples.EPOCH))).lost_receipts == 5
    store.close()


@given(
    st.lists(
        st.builds(UnitFailure, st.integers(0, 2**64 - 1), st.booleans(), st.sampled_from(CODES), st.integers(0, 2**40))
    )
)
def test_failures_are_stored_as_they_are(failures):
    """What is stored of first failures reads back the same."""
    assert decode_failures(encode_failures(failures)) == tuple(failures)


async def test_steps_are_listed_newest_first_page_by_page(app, stub):
    """Pages follow one another without a gap, of all models or of one, and name every count."""
    for number in range(1, 8):
        model = "digits" if number % 2 else "other"
        rollout = message(model=model, revision=number, shadow=number != 7)
        await stub.IngestDelta(samples.delta_message(sequence=number, rollouts=[rollout]))
    found, token = [], ""
    while True:
        page = await stub.ListRolloutMetrics(pb.ListRolloutMetricsRequest(page_size=2, page_token=token))
        found += page.rollouts
        token = page.next_page_token
        if not token:
            break
    assert [step.revision for step in found] == [7, 6, 5, 4, 3, 2, 1]
    assert not found[0].HasField("shadow")
    assert found[1].shadow == message().shadow
    assert (found[1].stable, found[1].canary, found[1].share_ppm) == (message().stable, message().canary, 50_000)
    async with AsyncClient(metrics=str(app.endpoint)) as client:
        assert [step.revision async for step in client.metrics.list_rollout_metrics("digits")] == [7, 5, 3, 1]
        assert [step async for step in client.metrics.list_rollout_metrics("nothing")] == []


async def test_a_token_of_another_listing_is_refused(stub):
    """A page token belongs to the model that it was given for."""
    for number in (1, 2):
        await stub.IngestDelta(samples.delta_message(sequence=number, rollouts=[message(revision=number)]))
    page = await stub.ListRolloutMetrics(pb.ListRolloutMetricsRequest(page_size=1))
    for request in (
        pb.ListRolloutMetricsRequest(model="digits", page_token=page.next_page_token),
        pb.ListRolloutMetricsRequest(page_token="AAAA"),
        pb.ListRolloutMetricsRequest(page_token="WyIiLCJhIiwxXQ=="),
    ):
        assert (await refused(stub.ListRolloutMetrics(request)))[1] == "PAGE_TOKEN_INVALID"


def failure(**changes):
    """Return a first failure."""
    return pb.UnitFailure(**{"unit": 1, "canary": True, "code": "INTERNAL", "offset_ms": 1, **changes})


def changed(part, **values):
    """Return a RolloutDelta of which one part differs."""
    made = message()
    for name, value in values.items():
        setattr(getattr(made, part) if part else made, name, value)
    return made


BAD = {
    "model": ([message(model="NO")], "NAME_INVALID"),
    "alias": ([message(alias="7")], "NAME_INVALID"),
    "version": ([message(stable_version=0)], "VERSION_INVALID"),
    "canary": ([message(canary_version=-1)], "FIELD_INVALID"),
    "share": ([message(share_ppm=1_000_001)], "FIELD_INVALID"),
    "revision": ([message(revision=2**60)], "FIELD_INVALID"),
    "count": ([changed("stable", requests=2**50)], "FIELD_INVALID"),
    "units": ([changed("stable", units=11)], "FIELD_INVALID"),
    "failed-units": ([changed("canary", failed_units=4)], "FIELD_INVALID"),
    "agreed": ([changed("shadow", agreed=10)], "FIELD_INVALID"),
    "difference": ([changed("shadow", max_output_difference=math.nan)], "FIELD_INVALID"),
    "negative": ([changed("shadow", max_output_difference=-1.0)], "FIELD_INVALID"),
    "shadow": ([changed("shadow", version=0)], "FIELD_INVALID"),
    "unassigned": ([changed("", unassigned=2**50)], "FIELD_INVALID"),
    "twice": ([message(), message()], "FIELD_INVALID"),
    "no-canary": ([changed("", canary_version=0)], "FIELD_INVALID"),
    "code": ([message(failures=[failure(code="OK")])], "FIELD_INVALID"),
    "offset": ([message(failures=[failure(offset_ms=2**50)])], "FIELD_INVALID"),
    "more-failures": ([message(failures=[failure()] * 5)], "FIELD_INVALID"),
    "too-many": ([message(revision=number) for number in range(1001)], "FIELD_INVALID"),
    "too-many-failures": ([message(failures=[failure()] * 10_001)], "FIELD_INVALID"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_is_refused_and_leaves_no_trace(stub, name):
    """A delta with an impossible report is refused whole."""
    rollouts, reason = BAD[name]
    code, found, _ = await refused(stub.IngestDelta(samples.delta_message(rollouts=rollouts)))
    assert (code, found) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert not (await stub.ListRolloutMetrics(pb.ListRolloutMetricsRequest())).rollouts
    assert not (await stub.IngestDelta(samples.delta_message())).duplicate


async def test_prometheus_shows_arms_and_agreement(app, stub):
    """Counters add up over an alias's steps; share and difference are its newest step's; lost receipts stand by node."""
    rollouts = [message(), message(revision=8, share_ppm=200_000)]
    rollouts[1].shadow.max_output_difference = 0.25
    await stub.IngestDelta(samples.delta_message(rollouts=rollouts, lost_receipts=4))
    shown = samples_of((await get(app, "/metrics"))[2])
    alias = (("alias", "production"),)
    model = (("model", "digits"),)
    assert shown["neuralmesh_rollout_share_ratio", (*alias, *model)] == 0.2
    for arm, requests in (("stable", 20), ("canary", 10)):
        assert shown["neuralmesh_rollout_requests_total", (*alias, ("arm", arm), *model)] == requests
        assert shown["neuralmesh_rollout_failed_units_total", (*alias, ("arm", arm), *model)] == 4
    for result, count in (("agreed", 16), ("disagreed", 2), ("failed", 14), ("dropped", 12)):
        assert shown["neuralmesh_shadow_copies_total", (*alias, *model, ("result", result))] == count
    assert shown["neuralmesh_shadow_output_difference", (*alias, *model)] == 0.25
    assert shown["neuralmesh_lost_receipts_total", (("node", "edge"),)] == 4
    nodes = (await stub.GetOperations(pb.GetOperationsRequest())).nodes
    assert nodes[0].lost_receipts == 4
