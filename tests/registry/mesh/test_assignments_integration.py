"""Assignments through a real registry: what they change, what repeats do, and whom they do not concern."""

from __future__ import annotations

import grpc
import pytest

from neuralmesh.mesh.v1 import mesh_service_pb2 as api
from neuralmesh.registry.v1 import registry_service_pb2 as registry_api
from neuralmesh.registry.v1 import resources_pb2 as resources
from tests.registry.mesh.nodes import Node

LIMITS = resources.LimitPolicy(max_running=2, max_queued=3, max_wait_ms=4)
STALE = resources.StalenessPolicy(action=resources.StalenessPolicy.ACTION_REFUSE, after_seconds=9)


async def listed(mesh, **fields):
    return list((await mesh.mesh.ListAssignments(api.ListAssignmentsRequest(**fields))).assignments)


async def test_an_assignment_is_replaced_whole_and_listed(mesh):
    """One selector, model and alias have one assignment, however the selector is written, with all that it says."""
    await mesh.versions(2)
    first = await mesh.assign("tier=edge, site", pinned_version=1, limits=LIMITS, staleness=STALE)
    assert (first.assignment.selector, first.HasField("previous_assignment")) == ("site,tier=edge", False)
    second = await mesh.assign("site,tier=edge")
    assert second.previous_assignment == first.assignment
    assert second.assignment.name == first.assignment.name
    assert not second.assignment.HasField("limits")
    other = await mesh.assign("*", alias="staging")
    assert await listed(mesh) == [second.assignment, other.assignment]
    page = await mesh.mesh.ListAssignments(api.ListAssignmentsRequest(page_size=1))
    assert list(page.assignments) == [second.assignment]
    assert await listed(mesh, page_size=1, page_token=page.next_page_token) == [other.assignment]


async def test_what_holds_already_writes_no_event(mesh):
    """Setting the same again returns what is there."""
    await mesh.versions(1)
    first = await mesh.assign("*", staleness=STALE)
    events = await mesh.events()
    again = await mesh.assign(" * ", staleness=STALE)
    assert again.assignment == again.previous_assignment == first.assignment
    assert await mesh.events() == events


async def test_a_repeat_gives_the_first_result(mesh):
    """A request id makes setting and deleting harmless to repeat, and is refused for another request."""
    await mesh.versions(1)
    named = {"actor": "ann", "reason": "why", "request_id": "one"}
    first = await mesh.assign("*", limits=LIMITS, request=named)
    await mesh.assign("*", request={})
    assert await mesh.assign("*", limits=LIMITS, request=named) == first
    assert not (await listed(mesh))[0].HasField("limits")
    failure = await mesh.failure(mesh.assign("*", request=named))
    assert failure.reason == "REQUEST_ID_REUSED"
    delete = api.DeleteAssignmentRequest(name=first.assignment.name, request_id="two")
    gone = await mesh.mesh.DeleteAssignment(delete)
    assert await mesh.mesh.DeleteAssignment(delete) == gone
    assert await listed(mesh) == []


async def test_the_log_tells_who_assigned_what(mesh):
    """Events hold the assignment before and after, with their revisions, under the model and the alias."""
    await mesh.versions(1)
    first = await mesh.assign("*", limits=LIMITS, request={"actor": "ann", "reason": "room"})
    second = await mesh.assign("*")
    await mesh.mesh.DeleteAssignment(api.DeleteAssignmentRequest(name=first.assignment.name))
    events = (await mesh.events("models/digits/aliases/production"))[-3:]
    changes = [event.assignment_changed for event in events]
    assert (events[0].actor.id, events[0].reason) == ("ann", "room")
    assert [change.after for change in changes] == [first.assignment, second.assignment, resources.Assignment()]
    assert [change.before for change in changes] == [resources.Assignment(), first.assignment, second.assignment]
    assert {change.assignment for change in changes} == {first.assignment.name}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"model": "unknown"}, "MODEL_NOT_FOUND"),
        ({"pinned_version": 7}, "VERSION_NOT_FOUND"),
        ({"pinned_version": -1}, "VERSION_INVALID"),
        ({"model": "No"}, "NAME_INVALID"),
        ({"alias": "No"}, "NAME_INVALID"),
        ({"selector": ""}, "FIELD_INVALID"),
        ({"selector": "a=b=c"}, "FIELD_INVALID"),
        ({"staleness": resources.StalenessPolicy(action=9)}, "FIELD_INVALID"),
    ],
)
async def test_what_makes_no_sense_is_refused(mesh, fields, reason):
    """Nothing is assigned, and no event is written."""
    await mesh.versions(1)
    events = await mesh.events()
    assert (await mesh.failure(mesh.assign(**({"selector": "*"} | fields)))).reason == reason
    assert await mesh.events() == events


async def test_only_what_exists_is_deleted(mesh):
    """An unknown assignment is NOT_FOUND, and a name of another form is wrong."""
    for name, code, reason in (
        ("assignments/" + "0" * 16, grpc.StatusCode.NOT_FOUND, "ASSIGNMENT_NOT_FOUND"),
        ("assignments/x", grpc.StatusCode.INVALID_ARGUMENT, "NAME_INVALID"),
        ("models/x", grpc.StatusCode.INVALID_ARGUMENT, "NAME_INVALID"),
    ):
        failure = await mesh.failure(mesh.mesh.DeleteAssignment(api.DeleteAssignmentRequest(name=name)))
        assert (failure.code, failure.reason) == (code, reason)


async def test_a_full_follower_and_the_digest_of_everything_are_not_concerned(mesh):
    """Assignments and waves are events that change no entry of the whole state's digest."""
    await mesh.versions(2)
    await mesh.promote(1)
    watch = mesh.stub.Watch(registry_api.WatchRequest())
    step = await watch.read()
    while not step.snapshot.last:
        step = await watch.read()
    before = step.state_digest
    await mesh.assign("*")
    step = await watch.read()
    assert (step.events.events[0].WhichOneof("change"), step.state_digest) == ("assignment_changed", before)
    watch.cancel()
    moved = resources.WavePlan(shares_ppm=[1, 1_000_000])
    await mesh.promote(2, waves=moved)
    await mesh.until(lambda _: True)
    events = await mesh.events()
    while events[-1].WhichOneof("change") != "wave_reached":
        events = await mesh.events()
    digests = []
    async with Node("edge-1").following(mesh.mesh):
        pass
    watch = mesh.stub.Watch(registry_api.WatchRequest(from_revision=events[-2].revision))
    step = await watch.read()
    digests.append(step.state_digest)
    watch.cancel()
    fresh = mesh.stub.Watch(registry_api.WatchRequest())
    step = await fresh.read()
    while not step.snapshot.last:
        step = await fresh.read()
    fresh.cancel()
    assert digests == [step.state_digest]
    alias = next(
        event for event in events if event.WhichOneof("change") == "alias_moved" and event.alias_moved.waves.shares_ppm
    )
    assert alias.alias_moved.waves == moved
