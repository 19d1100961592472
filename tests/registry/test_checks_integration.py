"""Checks of versions over a real server: what is recorded, once, and what it leaves alone."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

from neuralmesh.registry.v1 import registry_service_pb2 as api

PLAN, OUTPUT = (f"sha256:{digit * 64}" for digit in "ab")


def request(version=1, model="digits", **fields):
    """Return a RecordCheckRequest."""
    said = {"kind": "evaluation", "plan_digest": PLAN, "output_digest": OUTPUT, "figures": {"accuracy": "0.97"}}
    return api.RecordCheckRequest(name=f"models/{model}/versions/{version}", **(said | fields))


async def checks(registry, parent="models/digits", **fields):
    """Return a page of checks."""
    return await registry.stub.ListChecks(api.ListChecksRequest(parent=parent, **fields))


async def test_a_check_says_what_was_found(registry):
    """A check has its figures, who recorded it and why, and stands in the version's list and in the model's log."""
    await registry.versions(2)
    figures = {"rows": "1797", "accuracy": "0.97"}
    made = (await registry.stub.RecordCheck(request(2, figures=figures, actor="ann", reason="nightly"))).check
    assert (made.version, made.kind, made.plan_digest, made.output_digest, dict(made.figures)) == (
        "models/digits/versions/2",
        "evaluation",
        PLAN,
        OUTPUT,
        figures,
    )
    assert (made.actor.id, made.reason) == ("ann", "nightly")
    assert list((await checks(registry, made.version)).checks) == [made]
    assert list((await checks(registry, "models/digits/versions/1")).checks) == []
    event = (await registry.events("models/digits"))[-1]
    assert event.check_recorded.check == made
    assert event.revision == made.revision
    assert json.loads(event.canonical)["change"] == {
        "type": "check_recorded",
        "model": "digits",
        "version": 2,
        "kind": "evaluation",
        "plan_digest": PLAN,
        "output_digest": OUTPUT,
        "figures": [["accuracy", "0.97"], ["rows", "1797"]],
    }


async def test_the_same_output_is_recorded_once(registry):
    """One output of one kind for one version makes one event, from many callers at once; others make their own."""
    await registry.versions(2)
    before = len(await registry.events())
    made = await asyncio.gather(*(registry.stub.RecordCheck(request(actor=f"a-{n}")) for n in range(8)))
    assert all(answer == made[0] for answer in made)
    await registry.stub.RecordCheck(request(2))
    await registry.stub.RecordCheck(request(kind="comparison"))
    await registry.stub.RecordCheck(request(output_digest=PLAN))
    assert len(await registry.events()) == before + 4


async def test_a_repeated_request_is_answered_again(registry):
    """A request id gives the first result; the same id for another check is refused."""
    await registry.versions(1)
    made = await registry.stub.RecordCheck(request(request_id="one"))
    assert await registry.stub.RecordCheck(request(request_id="one")) == made
    failure = await registry.failure(registry.stub.RecordCheck(request(request_id="one", output_digest=PLAN)))
    assert failure.reason == "REQUEST_ID_REUSED"


async def test_followers_hold_the_same_state_after_a_check(registry):
    """A check is an event of its own revision, and the state digest stays what it was."""
    await registry.versions(1)
    watch = registry.stub.Watch(api.WatchRequest())
    step = await watch.read()
    while not step.state_digest:
        step = await watch.read()
    await registry.stub.RecordCheck(request())
    after = await watch.read()
    assert (after.revision, after.state_digest) == (step.revision + 1, step.state_digest)
    assert after.events.events[0].WhichOneof("change") == "check_recorded"
    watch.cancel()


async def test_checks_are_listed_newest_first_in_pages(registry):
    """The pages of a model's checks hold each once; a token belongs to its list."""
    await registry.versions(2)
    made = [
        (await registry.stub.RecordCheck(request(1 + number % 2, output_digest=f"sha256:{number:064x}"))).check
        for number in range(5)
    ]
    found, token = [], ""
    while True:
        page = await checks(registry, page_size=2, page_token=token)
        found += page.checks
        token = page.next_page_token
        if not token:
            break
        failure = await registry.failure(checks(registry, "models/digits/versions/1", page_token=token))
        assert failure.reason == "PAGE_TOKEN_INVALID"
    assert found == made[::-1]
    of_first = (await checks(registry, "models/digits/versions/1")).checks
    assert list(of_first) == [check for check in made[::-1] if check.version.endswith("/1")]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": "Not a kind"}, "NAME_INVALID"),
        ({"plan_digest": "sha256:1"}, "DIGEST_INVALID"),
        ({"output_digest": ""}, "DIGEST_INVALID"),
        ({"figures": {"": "1"}}, "FIELD_INVALID"),
        ({"figures": {"a": "x" * 1025}}, "FIELD_INVALID"),
        ({"figures": {f"f{number}": "1" for number in range(65)}}, "FIELD_INVALID"),
        ({"figures": {"accuracy": "\x1b[2J"}}, "FIELD_INVALID"),
        ({"version": 9}, "VERSION_NOT_FOUND"),
        ({"model": "letters"}, "MODEL_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_recorded_is_refused(registry, fields, reason):
    """A check that names no version, or says something beyond the limits, leaves no event."""
    await registry.versions(1)
    before = len(await registry.events())
    failure = await registry.failure(registry.stub.RecordCheck(request(**fields)))
    assert failure.reason == reason
    assert len(await registry.events()) == before


async def test_checks_survive_a_restart(serving, tmp_path):
    """A registry that is opened again lists the checks that it acknowledged and does not take them twice."""
    async with serving(tmp_path / "data") as registry:
        await registry.versions(1)
        made = (await registry.stub.RecordCheck(request())).check
    async with serving(tmp_path / "data") as registry:
        assert list((await checks(registry)).checks) == [made]
        assert (await registry.stub.RecordCheck(request())).check == made


async def test_lists_of_nothing_are_refused(registry):
    """Checks of a version or model that there is not are NOT_FOUND, rather than none."""
    await registry.versions(1)
    for parent in ("models/digits/versions/2", "models/letters"):
        assert (await registry.failure(checks(registry, parent))).code == grpc.StatusCode.NOT_FOUND
