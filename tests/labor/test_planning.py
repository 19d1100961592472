"""Plans: every row once, nothing but content, and the same for everybody who makes them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server import datasets
from neuralmesh_server.errors import FailedPreconditionError, InvalidArgumentError
from neuralmesh_server.labor import plan as plans
from neuralmesh_server.labor import planning
from neuralmesh_server.labor.plan import Columns, Numerics, Plan, VersionPin
from neuralmesh_server.labor.spec import JobSpec

EXACT = Numerics("liam/1", plans.EXACT)
PINNED = Numerics("onnxruntime/1.23 avx2", plans.PINNED)


def pin(numerics: Numerics = EXACT, digit: str = "a") -> VersionPin:
    """Return a resolved version."""
    return VersionPin("digits", 7, "liam", "sha256:" + digit * 64, (), numerics)


def wish(root: Path, **fields: object) -> JobSpec:
    """Return a wish for an inference over a folder."""
    return replace(JobSpec(plans.INFER, "digits/7", str(root)), **fields)


def made(root: Path, versions: Sequence[VersionPin] = (pin(),), **fields: object) -> Plan:
    """Return the plan of an inference over a folder."""
    return planning.plan(wish(root, **fields), versions, str(root))


def put(path: Path, array: np.ndarray) -> None:
    """Write an array and the folders around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


@given(
    files=st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(any),
    rows=st.integers(1, 40),
)
def test_shards_cover_every_row_once(files: list[int], rows: int, tmp_path_factory) -> None:
    """They come in order, never span files, have the wanted rows but for the last of a file, and cost what they weigh."""
    folder = tmp_path_factory.mktemp("data")
    for index, length in enumerate(files):
        put(folder / f"{index}.npy", np.arange(length * 3, dtype=np.int16).reshape(length, 3))
    plan = made(folder, rows_per_shard=rows)
    seen = [(shard.file, row) for shard in plan.shards for row in range(shard.first_row, shard.first_row + shard.rows)]
    assert seen == [(index, row) for index, length in enumerate(files) for row in range(length)]
    for shard in plan.shards:
        left = files[shard.file] - shard.first_row
        assert shard.rows == min(rows, left)
        assert shard.cost == shard.rows * 6
    assert plan.rows_per_shard == rows
    assert plan.rows == sum(files)
    assert plans.parse(plan.canonical) == plan


@given(
    files=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    rows=st.integers(1, 6),
    data=st.data(),
)
def test_one_changed_byte_changes_one_action(
    files: list[int], rows: int, data: st.DataObject, tmp_path_factory
) -> None:
    """All other actions keep their names, so that all other results come from the cache."""
    folder = tmp_path_factory.mktemp("data")
    for index, length in enumerate(files):
        # Every row is another, so that no two shards are the same action.
        put(folder / f"{index}.npy", (np.arange(length, dtype=np.uint32) + 100 * index).reshape(-1, 1))
    before = made(folder, rows_per_shard=rows)
    changed = data.draw(st.integers(0, len(files) - 1))
    place = data.draw(st.integers(1, files[changed] * 4))
    with (folder / f"{changed}.npy").open("r+b") as file:
        file.seek(-place, 2)
        (byte,) = file.read(1)
        file.seek(-place, 2)
        file.write(bytes([byte ^ 0x80]))
    after = made(folder, rows_per_shard=rows)
    old, new = list(before.actions()), list(after.actions())
    assert len(set(old)) == len(old)
    assert sum(one != other for one, other in zip(old, new, strict=True)) == 1
    assert before.digest != after.digest


def test_a_plan_does_not_know_where_the_data_is(tmp_path: Path) -> None:
    """The same files elsewhere, frozen by any number of threads, are the same plan to the byte."""
    for folder in ("here", "there/deeper"):
        put(tmp_path / folder / "a.npy", np.arange(300, dtype=np.float32).reshape(100, 3))
        put(tmp_path / folder / "b" / "c.npy", np.arange(30, dtype=np.float32).reshape(10, 3))
    here = made(tmp_path / "here", rows_per_shard=7)
    there = planning.plan(wish(tmp_path / "here", rows_per_shard=7), [pin()], str(tmp_path / "there/deeper"), threads=3)
    assert here.canonical == there.canonical
    assert [file.path for file in here.files] == ["a.npy", "b/c.npy"]


def test_actions_do_not_know_how_files_are_called_and_cut(tmp_path: Path) -> None:
    """The same rows, in one file or in several and in other formats, are the same actions, as long as shards agree."""
    rows = np.arange(240, dtype=np.int32).reshape(80, 3)
    put(tmp_path / "one" / "all.npy", rows)
    put(tmp_path / "many" / "x.npy", rows[:40])
    put(tmp_path / "many" / "y.npy", np.asfortranarray(rows[40:60]))
    put(tmp_path / "many" / "z" / "0.npy", rows[60:].astype(">i4"))
    (tmp_path / "table").mkdir()
    lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), 3)
    pq.write_table(pa.table({"x": lists}), tmp_path / "table" / "t.parquet", row_group_size=33)
    one, many = made(tmp_path / "one", rows_per_shard=10), made(tmp_path / "many", rows_per_shard=10)
    table = made(tmp_path / "table", rows_per_shard=10)
    assert list(one.actions()) == list(many.actions()) == list(table.actions())
    assert len({one.digest, many.digest, table.digest}) == 3
    assert next(made(tmp_path / "one", rows_per_shard=9).actions()) != next(one.actions())


def test_every_part_of_a_recipe_names_its_actions(tmp_path: Path) -> None:
    """Whatever may change a byte of the results changes their names; what cannot does not."""
    columns = {"x": np.arange(12.0).reshape(6, 2), "y": np.arange(6), "z": np.arange(6)}
    np.savez(tmp_path / "a.npz", **columns)
    named = Columns((("x", ("x",)),), "y", "z")
    base = made(tmp_path, columns=named, rows_per_shard=2, bad_rows=plans.SKIP)
    same = [
        made(tmp_path, columns=named, rows_per_shard=2, bad_rows=plans.SKIP, audit_ppm=5, priority=3, skip_cache=True),
        made(tmp_path, columns=named, rows_per_shard=2, bad_rows=plans.SKIP, micro_batch=9),
        made(
            tmp_path, [replace(pin(), model="renamed", version=8)], columns=named, rows_per_shard=2, bad_rows=plans.SKIP
        ),
    ]
    for plan in same:
        assert list(plan.actions()) == list(base.actions())
    others = [
        made(tmp_path, columns=named, rows_per_shard=2),
        made(tmp_path, [pin(digit="b")], columns=named, rows_per_shard=2, bad_rows=plans.SKIP),
        made(tmp_path, [pin(PINNED)], columns=named, rows_per_shard=2, bad_rows=plans.SKIP),
        made(tmp_path, [pin(PINNED)], columns=named, rows_per_shard=2, bad_rows=plans.SKIP, micro_batch=9),
        made(tmp_path, columns=named, rows_per_shard=2, bad_rows=plans.SKIP, format=plans.ARROW),
        made(tmp_path, columns=named, rows_per_shard=2, bad_rows=plans.SKIP, format=plans.SAFETENSORS),
        made(tmp_path, columns=named, rows_per_shard=2, bad_rows=plans.SKIP, outputs=("scores",)),
        made(tmp_path, columns=named, rows_per_shard=2, bad_rows=plans.SKIP, kind=plans.EVALUATE),
        made(tmp_path, columns=Columns((("x", ("x",)),), "y", ""), rows_per_shard=2, bad_rows=plans.SKIP),
    ]
    firsts = [next(iter(plan.actions())) for plan in [base, *others]]
    assert len(set(firsts)) == len(firsts)


def test_what_means_the_same_gives_the_same_recipe(tmp_path: Path) -> None:
    """The order in which outputs and inputs are named is nobody's wish."""
    np.savez(tmp_path / "a.npz", a=np.zeros((3, 2)), b=np.zeros((3, 2)))
    one = made(tmp_path, outputs=("b", "a"), columns=Columns((("v", ("b",)), ("u", ("a",)))))
    other = made(tmp_path, outputs=("a", "b"), columns=Columns((("u", ("a",)), ("v", ("b",)))))
    assert one.canonical == other.canonical
    assert one.recipe.outputs == ("a", "b")


def test_batches_are_planned_where_answers_depend_on_them(tmp_path: Path) -> None:
    """One version that is not exact is enough."""
    put(tmp_path / "a.npy", np.zeros((3, 2)))
    assert made(tmp_path, micro_batch=9).recipe.micro_batch == 0
    assert made(tmp_path, [pin(PINNED)]).recipe.micro_batch == planning.MICRO_BATCH
    assert made(tmp_path, [pin(PINNED)], micro_batch=9).recipe.micro_batch == 9
    both = made(tmp_path, [pin(), pin(PINNED)], kind=plans.COMPARE, baseline="digits@old")
    assert both.recipe.micro_batch == planning.MICRO_BATCH
    exact = made(tmp_path, [pin(), pin(digit="b")], kind=plans.COMPARE, baseline="digits@old")
    assert exact.recipe.micro_batch == 0


def test_the_writer_of_a_format_is_named(tmp_path: Path) -> None:
    """Its version determines bytes of the files, and so is part of the plan."""
    put(tmp_path / "a.npy", np.zeros((3, 2)))
    for name in (plans.PARQUET, plans.ARROW):
        assert f"pyarrow {pa.__version__}" in made(tmp_path, format=name).recipe.writer
    assert "pyarrow" not in made(tmp_path, format=plans.SAFETENSORS).recipe.writer


@pytest.mark.parametrize(
    ("row_bytes", "rows"),
    [
        (1, 1 << 18),
        (32, 1 << 18),
        (64, 131072),
        (784, 10688),
        (3136, 2624),
        (130_000, 64),
        (131_073, 63),
        (1 << 23, 1),
        (1 << 24, 1),
    ],
)
def test_the_rows_of_a_shard_follow_from_their_width(row_bytes: int, rows: int) -> None:
    """About eight MiB, in multiples of 64 where there are as many."""
    assert planning.default_rows(row_bytes) == rows


def test_the_widest_file_says_how_many_rows_a_shard_has(tmp_path: Path) -> None:
    """One number holds for all files of a plan; a file without rows has no say."""
    put(tmp_path / "narrow.npy", np.zeros((70_000, 1), np.uint8))
    put(tmp_path / "wide.npy", np.zeros((3, 131_073), np.uint8))
    put(tmp_path / "widest.npy", np.zeros((0, 1 << 24), np.uint8))
    plan = made(tmp_path)
    assert plan.rows_per_shard == 63
    assert len(plan.shards) == -(-70_000 // 63) + 1


def test_shards_that_nobody_could_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As are more of them than a plan may have; the message says how large or how many they would be."""
    put(tmp_path / "a.npy", np.zeros((1000, 10), np.uint8))
    monkeypatch.setattr(planning, "LARGEST_SHARD_BYTES", 5000)
    with pytest.raises(InvalidArgumentError) as caught:
        made(tmp_path, rows_per_shard=501)
    assert caught.value.message == "rows_per_shard is 501, which makes shards of 5010 bytes; at most 5000 are permitted"
    monkeypatch.setattr(planning, "MAX_SHARDS", 99)
    with pytest.raises(InvalidArgumentError) as caught:
        made(tmp_path, rows_per_shard=10)
    assert caught.value.message == "rows_per_shard is 10, which makes 100 shards; at most 99 are permitted"
    assert caught.value.metadata["field"] == "rows_per_shard"


def test_rows_that_are_rejected_are_planned_like_others(tmp_path: Path) -> None:
    """They belong to their shard, whose name tells that they cannot be read; what is done about them is the recipe's."""
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n5,6\n7,8\n")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n3,4\n5,6\n7,8\n")
    plan = made(tmp_path, rows_per_shard=2)
    assert [(shard.file, shard.first_row, shard.rows) for shard in plan.shards] == [
        (0, 0, 2),
        (0, 2, 2),
        (1, 0, 2),
        (1, 2, 2),
    ]
    digests = [shard.input_digest for shard in plan.shards]
    assert digests[0] != digests[2]
    assert digests[1] == digests[3]


def test_unreadable_data_and_impossible_wishes_are_refused_by_name(tmp_path: Path) -> None:
    """The file, the row or the field that is wrong is part of the error."""
    with pytest.raises(FailedPreconditionError) as caught:
        made(tmp_path)
    assert caught.value.reason == "DATASET_INVALID"
    (tmp_path / "a.npy").write_bytes(b"no")
    with pytest.raises(FailedPreconditionError) as caught:
        made(tmp_path)
    assert caught.value.metadata["file"] == "a.npy"
    with pytest.raises(InvalidArgumentError) as wrong:
        made(tmp_path, rows_per_shard=-1)
    assert wrong.value.metadata["field"] == "rows_per_shard"
    with pytest.raises(ValueError, match="has 2 versions; 1 are given"):
        made(tmp_path, kind=plans.COMPARE, baseline="digits/1")


def test_planning_ends_where_its_progress_says_so(tmp_path: Path) -> None:
    """Whoever cancels a job does not wait for all of its data to be hashed."""
    put(tmp_path / "a.npy", np.zeros((1000, 10), np.uint8))

    class CancelledError(Exception):
        pass

    def cancel(done: int, total: int) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        planning.plan(wish(tmp_path), [pin()], str(tmp_path), progress=cancel)


def test_a_worker_reads_what_was_planned(tmp_path: Path) -> None:
    """Reading a shard by the plan gives its input digest, for every shard."""
    np.savez(tmp_path / "a.npz", x=np.arange(46.0).reshape(23, 2), y=np.arange(23))
    (tmp_path / "b.csv").write_text("x,y\n" + "".join(f"{n},{n}\n" for n in range(17)))
    plan = made(tmp_path, rows_per_shard=4, columns=Columns((("x", ("x",)),), "y"), kind=plans.EVALUATE)
    with datasets.Reader(str(tmp_path), plan.recipe.columns) as reader:
        for shard in plan.shards:
            block = reader.read(plan.files[shard.file].path, shard.first_row, shard.rows)
            assert block.digest == shard.input_digest


WIDE = "every row has the shape [3]; input 'input' takes [2]"


def write_wide(path: Path) -> None:
    """Write three rows of three numbers and a label in the format that the suffix says."""
    rows = np.arange(9, dtype=np.float32).reshape(3, 3)
    table = pa.table({"a": rows[:, 0], "b": rows[:, 1], "c": rows[:, 2], "label": [1, 2, 3]})
    lists = pa.table({"x": pa.FixedSizeListArray.from_arrays(rows.ravel(), 3), "label": [1, 2, 3]})
    if path.suffix == ".npz":
        np.savez(path, rows=rows, label=np.arange(3))
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, lists.schema) as file:
            file.write_table(lists)
    else:
        path.write_text("a,b,c,label\n1,2,3,x\n4,5,6,y\n")


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".arrow", ".csv"])
def test_rows_of_another_width_are_found_by_the_header(tmp_path: Path, suffix: str) -> None:
    """A file whose header says that the version takes none of its rows is named, with both shapes, before any is hashed."""
    write_wide(tmp_path / f"wide{suffix}")
    hashed: list[int] = []
    spec = wish(tmp_path, columns=Columns(label="label"))
    with pytest.raises(FailedPreconditionError) as raised:
        planning.plan(
            spec, [pin()], str(tmp_path), takes=[{"input": (2,)}], progress=lambda done, _total: hashed.append(done)
        )
    assert (raised.value.reason, raised.value.message) == ("DATASET_INVALID", f"'wide{suffix}': {WIDE}")
    assert hashed == []
    assert planning.plan(spec, [pin()], str(tmp_path), takes=[{"input": (3,)}]) == planning.plan(
        spec, [pin()], str(tmp_path)
    )


def test_the_first_file_of_another_shape_is_named(tmp_path: Path) -> None:
    """Of several files the first that does not fit; one without rows does no harm. Both versions of a comparison count."""
    put(tmp_path / "a.npy", np.zeros((0, 5), np.float32))
    put(tmp_path / "b.npy", np.zeros((4, 2), np.float32))
    put(tmp_path / "c.npy", np.zeros((4, 3), np.float32))
    put(tmp_path / "d.npy", np.zeros((4, 4), np.float32))
    both = [pin(), pin(digit="b")]
    spec = wish(tmp_path, kind=plans.COMPARE, baseline="digits/6")
    with pytest.raises(FailedPreconditionError, match=f"^'c.npy': {re.escape(WIDE)}$"):
        planning.plan(spec, both, str(tmp_path), takes=[{"input": (-1,)}, {"input": (2,)}])
    with pytest.raises(FailedPreconditionError, match=r"^'b.npy': .* takes \[2,2\]$"):
        planning.plan(spec, both, str(tmp_path), takes=[{"input": (2, 2)}, {"input": (2,)}])


def test_rows_that_are_to_be_skipped_are_left_to_the_run(tmp_path: Path) -> None:
    """Where bad rows are skipped, a file of another shape is planned as ever; an input that it has not got is no row."""
    put(tmp_path / "a.npy", np.zeros((4, 3), np.float32))
    spec = wish(tmp_path, bad_rows=plans.SKIP)
    assert planning.plan(spec, [pin()], str(tmp_path), takes=[{"input": (2,)}]).rows == 4
    with pytest.raises(FailedPreconditionError, match=r"^'a\.npy': has no input 'one'"):
        planning.plan(spec, [pin()], str(tmp_path), takes=[{"one": (3,), "two": (3,)}])
