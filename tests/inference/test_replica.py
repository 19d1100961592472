"""The node's copy of the registry's state: it follows events, proves itself, and survives on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server import state_digest
from neuralmesh_server.inference.replica import (
    AliasMove,
    AliasRecord,
    DivergedError,
    FileRecord,
    ModelRecord,
    Replica,
    SnapshotPart,
    Step,
    VersionRecord,
)
from neuralmesh_server.inference.store_replica import ReplicaFile
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
        content = content.replace(b'"format":1', b'"format":2')
    else:
        content = damage.encode()
    file.save(content)
    replica, effective = file.load()
    assert (replica.revision, effective) == (0, {})


def test_no_file_is_no_replica(tmp_path: Path) -> None:
    """A node that never ran holds nothing."""
    assert ReplicaFile(tmp_path / "replica.json").load()[0].revision == 0
