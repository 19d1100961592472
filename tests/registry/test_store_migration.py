"""A data folder of an earlier release opens, and goes on as if it had always been of this one.

`schema_1.sql` is a dump of what release 0.1 wrote: model `digits` with two versions, of which the second says
`batching: exact`, promotions of 1 and 2, a rollback, a node's key, and two remembered requests.
"""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from neuralmesh_server.errors import FailedPreconditionError, InvalidArgumentError
from neuralmesh_server.registry.catalog import Catalog
from neuralmesh_server.registry.checks import Checks
from neuralmesh_server.registry.mesh import picture
from neuralmesh_server.registry.mesh.assignments import Assignments
from neuralmesh_server.registry.policies import Policies
from neuralmesh_server.registry.promotion import Promotions
from neuralmesh_server.registry.protection import Protections
from neuralmesh_server.registry.records import Actor, AliasState, Arm, Origin
from neuralmesh_server.registry.records_checks import Finding
from neuralmesh_server.registry.records_mesh import Assignment, WavePlan
from neuralmesh_server.registry.records_policy import AliasProtection, BatchingPolicy, LimitPolicy, ModelPolicy
from neuralmesh_server.registry.store_sqlite import SqliteStore
from neuralmesh_server.state_digest import StateDigest, alias_entry, model_entry, policy_entry, version_entry

DUMP = Path(__file__).parent / "schema_1.sql"
ANN = Origin(Actor("ann"), "why")


def clock() -> int:
    """Return a moment soon after the dump was made, so that its requests are still remembered."""
    return 1_700_000_001_000


class NoArtifacts:
    async def sizes(self, digests):
        return {}


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "registry.sqlite"
    connection = apsw.Connection(str(path))
    connection.execute(DUMP.read_text())
    connection.close()
    opened = SqliteStore(path)
    yield opened
    opened.close()


def digest(*aliases, policy=None) -> bytes:
    """Return the digest of the dump's models and versions with alias entries and perhaps a policy."""
    state = StateDigest()
    state.add(model_entry("digits", 1))
    state.add(version_entry("digits", 1, "sha256:938293c4c4e6840468112b05c0269f2028ac099e4dc6b2ae82e06f8a80e51b2c"))
    state.add(version_entry("digits", 2, "sha256:0b113e4cd297692fdb2e5064fdf876171bb6061811a8841f51d9dcdea416e109"))
    for alias in aliases:
        state.add(alias_entry("digits", "production", *alias))
    if policy is not None:
        state.add(policy_entry("digits", policy))
    return state.value()


async def test_the_old_state_is_read(store):
    """Model, versions, alias, events and digest are those that the old release wrote."""
    alias = await Promotions(store, clock).alias("digits", "production")
    assert (alias.state, alias.rollback_versions, alias.revision) == (AliasState(1), (), 6)
    assert (alias.protection, alias.proof) == (None, None)
    model = await Catalog(store, NoArtifacts(), clock).model("digits")
    assert (model.latest_version, model.policy) == (2, None)
    events = await store.read(lambda view: view.events_after(0, 100))
    assert [event.revision for event in events] == list(range(1, 8))
    assert (await store.read(lambda view: view.head())).state_digest == digest((6, {"version": 1}, 0))


async def test_remembered_requests_are_answered_again(store):
    """A request id of the old release gives its first answer, and is refused for another request."""
    promotions, catalog = Promotions(store, clock), Catalog(store, NoArtifacts(), clock)
    origin = Origin(Actor("ann"), "first", "move-1")
    move = await promotions.promote("digits", "production", AliasState(1), "", origin)
    assert (move.alias.revision, move.before) == (4, None)
    model = await catalog.create_model("digits", "of hands", Origin(Actor("ann"), "why", "model-1"))
    assert (model.uid, model.revision) == (1, 1)
    with pytest.raises(InvalidArgumentError):
        await promotions.promote("digits", "production", AliasState(1, canary=Arm(2, 5)), "", origin)


async def test_the_new_state_goes_on_from_the_old(store):
    """Arms, policies and protections join the old state, and its digest grows from the old one."""
    promotions = Promotions(store, clock)
    await promotions.promote("digits", "production", AliasState(1, canary=Arm(2, 5)), "", ANN)
    await Policies(store, clock).set("digits", ModelPolicy(limits=LimitPolicy(4, 0, 0)), ANN)
    await Protections(store, clock).protect("digits", "production", AliasProtection(), ANN)
    state = {"version": 1, "canary": {"version": 2, "share_ppm": 5}}
    limits = {"limits": {"max_running": 4, "max_queued": 0, "max_wait_ms": 0}}
    assert (await store.read(lambda view: view.head())).state_digest == digest((8, state, 1), policy=limits)
    move = await promotions.rollback("digits", "production", 0, "", ANN)
    assert (move.alias.state, move.alias.protection) == (AliasState(1), AliasProtection())
    with pytest.raises(FailedPreconditionError) as caught:
        await promotions.promote("digits", "production", AliasState(2), "", ANN)
    assert caught.value.reason == "PROOF_REQUIRED"


async def test_old_metadata_counts(store):
    """A version that said `batching: exact` before the key was reserved refuses batching all the same."""
    with pytest.raises(FailedPreconditionError) as caught:
        await Policies(store, clock).set("digits", ModelPolicy(batching=BatchingPolicy(2, 0)), ANN)
    assert (caught.value.reason, caught.value.metadata["version"]) == ("BATCHING_REFUSED", "2")


async def test_assignments_and_waves_join_the_old_state(store):
    """A log of before there were edge nodes is assigned from and promoted in waves, and its digest is as without."""
    head = await store.read(lambda view: view.head())
    await Assignments(store, clock).set(Assignment("*", "digits", "production"), ANN)
    assert (await store.read(lambda view: view.head())).state_digest == head.state_digest
    before = await Promotions(store, clock).alias("digits", "production")
    move = await Promotions(store, clock).promote(
        "digits", "production", AliasState(2), "", ANN, waves=WavePlan((5, 1_000_000))
    )
    state = (await store.read(picture.take)).parts["digits"].aliases["production"]
    assert [(one.share_ppm, one.alias) for one in state] == [(5, move.alias), (1_000_000, before)]


async def test_checks_join_the_old_state(store):
    """A version of before there were checks gets one, and the digest is as without."""
    head = await store.read(lambda view: view.head())
    check = await Checks(store, clock).record("digits", 1, Finding("evaluation", "sha256:1", "sha256:2", ()), ANN)
    after = await store.read(lambda view: view.head())
    assert (after.revision, after.state_digest) == (head.revision + 1, head.state_digest)
    assert await Checks(store, clock).listed("digits", None, 2**53 - 1, 10) == [check]
