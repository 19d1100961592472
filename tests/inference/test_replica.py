"""The node's copy of the registry's state: it follows events, proves itself, and survives on disk."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server import state_digest
from neuralmesh_server.inference import policy
from neuralmesh_server.inference.holding.records import (
    AliasRecord,
    Arm,
    DivergedError,
    FileRecord,
    ModelRecord,
    PolicyRecord,
    StickyKey,
    StickySource,
    VersionRecord,
    alias_record,
)
from neuralmesh_server.inference.holding.replica import AliasMove, Replica, SnapshotPart, Step
from neuralmesh_server.inference.holding.store_replica import ReplicaFile
from neuralmesh_server.inference.policy import Batching, Limits, ModelPolicy, ReceiptMode, Receipts
from neuralmesh_server.inference.tensors import Signature, TensorSpec

MODEL = ModelRecord("m", 1)
SIGNATURE = Signature((TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "INT64", (-1,)),), "y")


def version(number: int) -> VersionRecord:
    """Return a version."""
    digest = f"sha256:{number:064x}"
    return VersionRecord("m", number, digest, "onnx", (FileRecord("m.onnx", 9, digest),), SIGNATURE, 9)


def entries(*alias: tuple[int, int, int]) -> bytes:
    """Return the digest of `m` with versions 1 to 3 and the alias (revision, version, version below)."""
    digest = state_digest.StateDigest()
    digest.add(state_digest.model_entry("m", 1))
    for number in (1, 2, 3):
        digest.add(state_digest.version_entry("m", number, version(number).digest))
    for revision, current, below in alias:
        digest.add(state_digest.alias_entry("m", "a", revision, {"version": current}, below))
    return digest.value()


def following() -> Replica:
    """Return a replica at revision 4 that holds `m` with three versions."""
    replica = Replica()
    changes = ((1, MODEL), (2, version(1)), (3, version(2)), (4, version(3)))
    assert replica.apply(Step(4, entries(), changes=changes))
    return replica


def move(revision: int, before: int, after: int, *, rollback: bool = False) -> tuple[int, AliasMove]:
    """Return the event of a move."""
    return revision, AliasMove("m", "a", rollback, before, after, {"version": after}, revision)


def test_promotions_and_rollbacks_lead_to_the_registrys_digest() -> None:
    """The versions below an alias grow with promotions and shrink with rollbacks, as the digest demands."""
    replica = following()
    replica.apply(Step(5, entries((5, 1, 0)), changes=(move(5, 0, 1),)))
    replica.apply(Step(7, entries((7, 3, 2)), changes=(move(6, 1, 2), move(7, 2, 3))))
    assert replica.aliases["m", "a"].below == (2, 1)
    replica.apply(Step(8, entries((8, 2, 1)), changes=(move(8, 3, 2, rollback=True),)))
    replica.apply(Step(9, entries((9, 1, 0)), changes=(move(9, 2, 1, rollback=True),)))
    assert replica.aliases["m", "a"].below == ()


def test_a_rollback_over_several_promotions_drops_them_all() -> None:
    """Going back to a named version leaves only what was below it."""
    replica = following()
    replica.apply(Step(7, entries((7, 3, 2)), changes=(move(5, 0, 1), move(6, 1, 2), move(7, 2, 3))))
    replica.apply(Step(8, entries((8, 1, 0)), changes=(move(8, 3, 1, rollback=True),)))
    assert replica.aliases["m", "a"].below == ()


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (Step(6, b"", changes=((6, None),)), "event 6 came after revision 4"),
        (Step(4, b"", changes=((4, None),)), "event 4 came after revision 4"),
        (Step(9, b"", changes=((5, None),)), "its events led to 5"),
        (Step(5, bytes(32), changes=((5, None),)), "does not have its digest"),
        (Step(4, bytes(32)), "does not have its digest"),
        (Step(5, b"", part=SnapshotPart((), (), (), first=False, last=True)), "began in its middle"),
        (Step(5, bytes(32), part=SnapshotPart((MODEL,), (), (), first=True, last=True)), "snapshot of revision 5"),
        (Step(5, b"", changes=(move(5, 3, 1, rollback=True),)), "was not below it"),
    ],
)
def test_a_step_that_does_not_fit_is_noticed(step: Step, why: str) -> None:
    """A gap, a repeat, a wrong revision and a wrong digest are each an error."""
    with pytest.raises(DivergedError, match=why):
        following().apply(step)


def test_a_snapshot_in_parts_replaces_everything_at_its_end() -> None:
    """Until the last part the old state is held; then only the new one is."""
    replica = following()
    first = SnapshotPart((ModelRecord("n", 2),), (), (), first=True, last=False)
    last = SnapshotPart((ModelRecord("o", 3),), (), (), first=False, last=True)
    assert not replica.apply(Step(9, b"", part=first))
    assert set(replica.models) == {"m"}
    assert replica.apply(Step(9, b"", part=last))
    assert (set(replica.models), set(replica.versions), replica.revision) == ({"n", "o"}, set(), 9)


def test_a_heartbeat_changes_nothing() -> None:
    """A step without a change is only a proof."""
    assert not following().apply(Step(4, entries()))


@given(st.lists(st.integers(1, 3), max_size=8))
def test_events_and_snapshot_lead_to_one_state(targets: list[int]) -> None:
    """Following every move gives the digest that a snapshot of the end gives."""
    replica = following()
    revision, before = 4, 0
    for target in targets:
        if target == before:
            continue
        revision += 1
        replica.apply(Step(revision, b"", changes=(move(revision, before, target),)))
        before = target
    copy = Replica()
    part = SnapshotPart(
        tuple(replica.models.values()),
        tuple(replica.versions.values()),
        tuple(replica.aliases.values()),
        first=True,
        last=True,
    )
    copy.apply(Step(revision, replica.digest(), part=part))
    assert copy.digest() == replica.digest()


ARMS = {
    "version": 1,
    "canary": {"version": 2, "share_ppm": 5},
    "shadow": {"version": 3, "share_ppm": 1_000_000},
    "sticky_key": {"source": 1, "key": "user"},
}
RECEIPTS = {"mode": "all", "sample_ppm": 0, "content": "payloads", "max_age_seconds": 0, "max_bytes": 0}


def test_an_alias_reads_its_arms() -> None:
    """Arms and sticky key come out of the state, and the versions that the alias needs are listed once each."""
    record = alias_record("m", "a", ARMS, 7, ())
    assert (record.canary, record.shadow) == (Arm(2, 5), Arm(3, 1_000_000))
    assert record.sticky == StickyKey(StickySource.PARAMETER, "user")
    assert record.versions() == (1, 2, 3)
    both = alias_record("m", "a", ARMS | {"shadow": {"version": 2, "share_ppm": 1}}, 7, ())
    assert both.versions() == (1, 2)


def test_a_sticky_key_of_a_later_registry_is_noticed() -> None:
    """A node that cannot read a sticky key says that it diverged, instead of assigning units another way."""
    with pytest.raises(DivergedError, match="source 9"):
        alias_record("m", "a", ARMS | {"sticky_key": {"source": 9, "key": ""}}, 7, ())


def test_policies_follow_the_digest() -> None:
    """A policy joins the digest, the next one replaces it, and each is read with the contract's defaults."""
    replica = following()
    without = replica.digest()
    replica.apply(Step(5, b"", changes=((5, PolicyRecord("m", {"receipts": RECEIPTS})),)))
    assert replica.policies == {"m": ModelPolicy(Receipts(ReceiptMode.ALL, 1_000_000, payloads=True))}
    limits = {"max_running": 2, "max_queued": 0, "max_wait_ms": 0}
    after = {"batching": {"max_rows": 8, "max_delay_us": 0}, "limits": limits}
    replica.apply(Step(6, b"", changes=((6, PolicyRecord("m", after)),)))
    assert replica.policies == {"m": ModelPolicy(batching=Batching(8, 0), limits=Limits(2, 1024, None))}
    expected = state_digest.StateDigest(replica._tables.digest.accumulator())
    expected.remove(state_digest.policy_entry("m", after))
    assert expected.value() == without


@pytest.mark.parametrize(
    ("fact", "plain"),
    [
        ({}, True),
        ({"receipts": RECEIPTS}, False),
        ({"receipts": RECEIPTS | {"content": "digests"}}, True),
        ({"receipts": RECEIPTS | {"mode": "off"}}, True),
        ({"batching": {"max_rows": 2, "max_delay_us": 0}}, True),
        ({"limits": {"max_running": 1, "max_queued": 0, "max_wait_ms": 0}}, False),
        ({"limits": {"max_running": 0, "max_queued": 9, "max_wait_ms": 9}}, True),
    ],
)
def test_a_plain_policy_holds_no_request_back(fact: dict[str, Any], *, plain: bool) -> None:
    """A bound on running requests and kept payloads take a model off the straight way; batches join no quick request."""
    assert policy.read(fact).plain is plain


def test_the_file_keeps_arms_policies_and_exact_versions(tmp_path: Path) -> None:
    """Arms, policies and the mark of an exact version come back from the file."""
    replica = Replica()
    exact = dataclasses.replace(version(3), batching_exact=True)
    alias = alias_record("m", "a", ARMS, 6, (2, 1))
    kept = PolicyRecord("m", {"receipts": RECEIPTS})
    versions = (version(1), version(2), exact)
    part = SnapshotPart((MODEL,), versions, (alias,), first=True, last=True, policies=(kept,))
    replica.apply(Step(7, b"", part=part))
    file = ReplicaFile(tmp_path / "replica.json")
    file.save(file.encode(replica, {}))
    read, _ = file.load()
    assert (read.digest(), read.versions, read.aliases) == (replica.digest(), replica.versions, replica.aliases)
    assert (read.policies, read.policy_records, read.outdated) == (replica.policies, {"m": kept}, False)


def test_a_file_of_an_earlier_release_serves_until_the_next_snapshot(tmp_path: Path) -> None:
    """A file without policies is read, and marked as lacking what the registry must send again."""
    file = ReplicaFile(tmp_path / "replica.json")
    stored = json.loads(file.encode(following(), {}))
    stored["format"] = 1
    del stored["policies"]
    for item in stored["versions"]:
        del item["batching_exact"]
    stored["aliases"] = []
    file.save(json.dumps(stored).encode())
    read, _ = file.load()
    assert (read.revision, read.outdated, read.versions) == (4, True, following().versions)
    read.apply(Step(5, b"", part=SnapshotPart((MODEL,), (), (), first=True, last=True)))
    assert not read.outdated


def test_the_file_gives_back_what_was_kept(tmp_path: Path) -> None:
    """A stored replica is read back with its digest, its versions and the versions that answered."""
    replica = following()
    replica.apply(Step(6, b"", changes=(move(5, 0, 1), move(6, 1, 3))))
    file = ReplicaFile(tmp_path / "replica.json")
    file.save(file.encode(replica, {("m", "a"): 1}))
    read, effective = file.load()
    assert (read.digest(), read.revision, effective) == (replica.digest(), 6, {("m", "a"): 1})
    assert read.versions == replica.versions
    assert read.aliases["m", "a"] == AliasRecord("m", "a", 3, 6, {"version": 3}, (1,))


@pytest.mark.parametrize("damage", ["", "{}", "[1]", "{", "digest", "format"])
def test_a_damaged_file_is_ignored(tmp_path: Path, damage: str) -> None:
    """A file that is no replica, or not the one whose digest it names, counts as none."""
    file = ReplicaFile(tmp_path / "replica.json")
    content = file.encode(following(), {})
    if damage == "digest":
        stored = json.loads(content)
        stored["models"][0]["uid"] = 2
        content = json.dumps(stored).encode()
    elif damage == "format":
        content = content.replace(b'"format":2', b'"format":3')
    else:
        content = damage.encode()
    file.save(content)
    replica, effective = file.load()
    assert (replica.revision, effective) == (0, {})


def test_no_file_is_no_replica(tmp_path: Path) -> None:
    """A node that never ran holds nothing."""
    assert ReplicaFile(tmp_path / "replica.json").load()[0].revision == 0
