"""Actions: columns, counts, refusals; every format, every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy

from liam_core import capabilities, set_level, steps
from neuralmesh_server import datasets
from neuralmesh_server.errors import FailedPreconditionError, InvalidArgumentError, NotSupportedError
from neuralmesh_server.labor import plan, reports
from neuralmesh_server.labor.plan import Columns
from neuralmesh_server.labor_engines.action import Actions
from neuralmesh_server.labor_engines.models import open_version
from neuralmesh_server.labor_engines.rows import UnwantedError
from tests.inference import kinds, models
from tests.labor_engines import setting
from tests.labor_engines.setting import INDEX, NETWORK, ONNX, TRANSFORM, Files, Work


class Bench:
    """Runs shards of a job in this process."""

    def __init__(  # noqa: PLR0917
        self, folder: Path, data: Path, recipe: plan.Recipe, files: dict[str, int], rows: int, source: Files
    ) -> None:
        self.folder = folder
        self.work = Work(data, recipe, files, rows)
        opened = []
        for pin in recipe.versions:
            place = folder / pin.digest
            place.mkdir(exist_ok=True)
            for file in pin.files:
                (place / file.path).write_bytes(source.known[file.digest])
            opened.append(open_version(pin, {file.path: place / file.path for file in pin.files}))
        self.reader = datasets.Reader(str(data), recipe.columns)
        self.actions = Actions(recipe, opened, self.reader.read)

    def run(self, shard: int = 0):
        """Return the result of a shard and its file."""
        path = self.folder / "result"
        result = self.actions.run(self.work.lease(shard), path, lambda: True)
        data = path.read_bytes()
        assert (result.output_digest, result.output_size) == (setting.sha256(data), len(data))
        return result, data


def table(form: str, data: bytes) -> dict[str, np.ndarray]:
    """Return the columns of a file."""
    if form == plan.SAFETENSORS:
        return safetensors.numpy.load(data)
    read = (
        pq.read_table(pa.BufferReader(data))
        if form == plan.PARQUET
        else pa.ipc.open_file(pa.BufferReader(data)).read_all()
    )
    return {name: np.array(read.column(name).to_pylist()) for name in read.column_names}


def bench(
    folder: Path, kind: str = NETWORK, rows: int = 100, data: Path | None = None, count: int = 250, **changes
) -> Bench:
    """Return a bench over random rows for one version of a kind."""
    files = Files()
    pin = files.pin(kind, setting.content(kind, folder))
    if data is None:
        data = folder / "data"
        data.mkdir(exist_ok=True)
        np.save(
            data / "rows.npy", np.random.default_rng(3).standard_normal((count, setting.width(kind))).astype(np.float32)
        )
    return Bench(folder, data, setting.recipe(pin, **changes), {"rows.npy": count}, rows, files)


@pytest.mark.parametrize("form", [plan.PARQUET, plan.ARROW, plan.SAFETENSORS])
@pytest.mark.parametrize("kind", [NETWORK, INDEX, TRANSFORM, ONNX])
def test_results_are_what_the_version_answers(tmp_path: Path, kind: str, form: str) -> None:
    """Every kind in every format: the columns are the outputs of the rows, and the same bytes again the second time."""
    job = bench(tmp_path, kind, format=form)
    result, data = job.run(2)
    assert (result.rows, result.skipped, result.tally) == (50, (), None)
    assert job.run(2)[1] == data
    model = job.actions._models[0]
    rows = np.load(tmp_path / "data" / "rows.npy")[200:]
    columns = table(form, data)
    assert list(columns["row"]) == list(range(50))
    step = 16 if kind == ONNX else 50
    for start in range(0, 50, step):
        answers = model.run({model.signature.inputs[0].name: rows[start : start + step]})
        for name, answer in answers.items():
            assert np.array_equal(columns[name][start : start + step].astype(answer.dtype), answer)
    assert set(columns) == {"row", *answers}


def test_onnx_runs_canonical_batches(tmp_path: Path) -> None:
    """Batches begin at multiples of their size from the shard's first row, the last one is short, and a row that is skipped moves none of the others."""
    data = tmp_path / "data"
    data.mkdir()
    pa_rows = [list(map(float, range(64))) for _ in range(50)]
    pa_rows[20] = [1.0]
    pq.write_table(pa.table({"input": pa.array(pa_rows, pa.list_(pa.float32()))}), data / "rows.parquet")
    files = Files()
    pin = files.pin(ONNX, setting.content(ONNX, tmp_path))
    made = setting.recipe(pin, bad_rows=plan.SKIP, columns=Columns((("input", ("input",)),)))
    job = Bench(tmp_path, data, made, {"rows.parquet": 50}, 50, files)
    seen: list[int] = []
    (model,) = job.actions._models
    run = model.run
    model.run = lambda inputs: (seen.append(len(inputs["input"])), run(inputs))[1]
    result, _ = job.run()
    assert seen == [16, 15, 16, 2]
    assert (result.rows, [(entry.first, entry.rows) for entry in result.skipped]) == (49, [(20, 1)])


def test_liam_does_not_depend_on_pieces_or_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of other sizes, shards of other sizes and other SIMD levels give the same columns, to the bit."""
    job = bench(tmp_path)
    _, whole = job.run(0)
    for level in capabilities().supported:
        with set_level(level):
            assert job.run(0)[1] == whole
    monkeypatch.setattr("neuralmesh_server.labor_engines.rows.PIECE_BYTES", 1)
    assert job.run(0)[1] == whole
    small = bench(tmp_path, rows=7)
    parts = [table(plan.PARQUET, small.run(shard)[1])["scores"] for shard in range(14)]
    assert np.array_equal(np.concatenate(parts), table(plan.PARQUET, whole)["scores"][:98])


def test_integers_are_cast_piece_by_piece(tmp_path: Path) -> None:
    """Bytes give what the same numbers as float32 give."""
    data = setting.digits_data(tmp_path, 250)
    job = bench(tmp_path, data=data)
    _, whole = job.run()
    np.save(data / "rows.npy", np.load(data / "rows.npy").astype(np.float32))
    again = bench(tmp_path, data=data)
    assert again.run()[1] == whole
    assert again.work.shards[0][3] != job.work.shards[0][3]  # the input is another one all the same


def test_only_wanted_outputs_are_kept(tmp_path: Path) -> None:
    """Outputs by name; one that there is not is refused."""
    _, data = bench(tmp_path, outputs=("label",)).run()
    assert set(table(plan.PARQUET, data)) == {"row", "label"}
    with pytest.raises(InvalidArgumentError, match="no output 'logits'; it has label, scores"):
        bench(tmp_path, outputs=("logits",))


def test_outputs_that_are_no_rows_are_refused(tmp_path: Path) -> None:
    """What a search within a radius finds is not one row for each row; without it the job runs."""
    files = Files()
    pin = files.pin(INDEX, kinds.index(tmp_path, radius=20))
    data = tmp_path / "data"
    data.mkdir()
    np.save(data / "rows.npy", kinds.VECTORS)
    with pytest.raises(NotSupportedError, match="does not have one row for each row"):
        Bench(tmp_path, data, setting.recipe(pin), {"rows.npy": 100}, 100, files).run()


def test_a_row_of_the_wrong_shape_is_named(tmp_path: Path) -> None:
    """The job fails at the first one, by file and row; told to skip, it lists them, the same on every run."""
    data = tmp_path / "data"
    data.mkdir()
    rows = [[1.0] * 64 for _ in range(30)]
    rows[12] = rows[13] = [1.0] * 63
    rows[20] = [1.0] * 65
    pq.write_table(
        pa.table({"input": pa.array(rows, pa.list_(pa.float32())), "id": list(range(30))}), data / "rows.parquet"
    )
    files = Files()
    pin = files.pin(NETWORK, setting.content(NETWORK, tmp_path))
    columns = Columns((("input", ("input",)),), id="id")
    failing = Bench(tmp_path, data, setting.recipe(pin, columns=columns), {"rows.parquet": 30}, 10, files)
    with pytest.raises(FailedPreconditionError, match=r"row 12 of 'rows.parquet'.*63") as caught:
        failing.run(1)
    assert caught.value.reason == "DATASET_INVALID"
    skipping = Bench(
        tmp_path, data, setting.recipe(pin, columns=columns, bad_rows=plan.SKIP), {"rows.parquet": 30}, 10, files
    )
    result, written = skipping.run(1)
    assert [(entry.first, entry.rows) for entry in result.skipped] == [(2, 2)]
    assert list(table(plan.PARQUET, written)["id"]) == [10, 11, 14, 15, 16, 17, 18, 19]
    assert list(table(plan.PARQUET, written)["row"]) == [0, 1, 4, 5, 6, 7, 8, 9]
    assert skipping.run(1) == (result, written)


def test_a_row_that_the_version_refuses_is_named(tmp_path: Path) -> None:
    """A byte that is no bit, within a piece of many rows: that row, and no other."""
    data = tmp_path / "data"
    data.mkdir()
    rows = np.random.default_rng(1).integers(0, 2, (40, kinds.WIDTH)).astype(np.uint8)
    rows[33, 5] = 7
    np.save(data / "rows.npy", rows)
    files = Files()
    pin = files.pin(TRANSFORM, kinds.transform(tmp_path, steps.BitRotate(1), input_form="uint8"))
    with pytest.raises(FailedPreconditionError, match=r"row 33 of 'rows\.npy'"):
        Bench(tmp_path, data, setting.recipe(pin), {"rows.npy": 40}, 20, files).run(1)
    result, written = Bench(tmp_path, data, setting.recipe(pin, bad_rows=plan.SKIP), {"rows.npy": 40}, 20, files).run(1)
    assert [(entry.first, entry.rows) for entry in result.skipped] == [(13, 1)]
    assert result.skipped[0].why == "input 'input' cannot be run: want bytes 0 and 1, got 7"
    assert len(table(plan.PARQUET, written)["row"]) == 19


def test_changed_data_is_refused(tmp_path: Path) -> None:
    """One byte of a shard changed since the plan: the file is named, and nothing is computed; other shards go on."""
    job = bench(tmp_path)
    path = tmp_path / "data" / "rows.npy"
    changed = np.load(path)
    changed[120, 3] += 1
    np.save(path, changed)
    job.run(0)
    with pytest.raises(FailedPreconditionError, match=r"'rows.npy' has changed") as caught:
        job.run(1)
    assert (caught.value.reason, caught.value.metadata["file"]) == ("DATASET_CHANGED", "rows.npy")


def test_leases_must_name_what_they_are(tmp_path: Path) -> None:
    """An action under the digest of another one is not run."""
    job = bench(tmp_path)
    lease = job.work.lease(0)
    wrong = type(lease)(
        *[getattr(lease, name) if name != "action_digest" else job.work.shards[1][4] for name in lease.__slots__]
    )
    with pytest.raises(FailedPreconditionError, match="handed out as"):
        job.actions.run(wrong, tmp_path / "out", lambda: True)


def test_unwanted_work_ends(tmp_path: Path) -> None:
    """Work that nobody wants stops between two pieces."""
    job = bench(tmp_path)
    with pytest.raises(UnwantedError):
        job.actions.run(job.work.lease(0), tmp_path / "out", lambda: False)


def labelled(folder: Path) -> Path:
    """Write a table of rows with labels."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((60, 64)).astype(np.float32)
    pq.write_table(
        pa.table(
            {
                "input": pa.array(rows.tolist(), pa.list_(pa.float32())),
                "label": rng.integers(0, 10, 60),
                "id": [f"r{i}" for i in range(60)],
            }
        ),
        data / "rows.parquet",
    )
    return data


def test_evaluation_counts_what_the_rows_say(tmp_path: Path) -> None:
    """The tally of all shards gives the accuracy that NumPy gives."""
    data = labelled(tmp_path)
    files = Files()
    pin = files.pin(NETWORK, setting.content(NETWORK, tmp_path))
    columns = Columns((("input", ("input",)),), label="label", id="id")
    job = Bench(
        tmp_path,
        data,
        setting.recipe(pin, kind=plan.EVALUATE, columns=columns, outputs=("label",)),
        {"rows.parquet": 60},
        25,
        files,
    )
    results = [job.run(shard) for shard in range(3)]
    read = [table(plan.PARQUET, written) for _, written in results]
    right = sum(int((one["label"] == one["true_label"]).sum()) for one in read)
    report = reports.report(plan.EVALUATE, [result.tally for result, _ in results])
    assert (report["rows"], report["correct"]) == (60, right)
    assert list(read[1]["id"])[:2] == ["r25", "r26"]


def test_evaluation_needs_labels(tmp_path: Path) -> None:
    """Without a column of labels, or a version that tells some, it says so."""
    bench(tmp_path)  # which writes data without labels
    files = Files()
    pin = files.pin(NETWORK, setting.content(NETWORK, tmp_path))
    with pytest.raises(InvalidArgumentError, match="true labels"):
        Bench(tmp_path, tmp_path / "data", setting.recipe(pin, kind=plan.EVALUATE), {"rows.npy": 10}, 10, files).run()
    pin = files.pin(TRANSFORM, kinds.transform(tmp_path))
    with pytest.raises(InvalidArgumentError, match="no output that tells a label"):
        Bench(tmp_path, tmp_path / "data", setting.recipe(pin, kind=plan.EVALUATE), {"rows.npy": 10}, 10, files)


def test_comparison_shows_where_versions_differ(tmp_path: Path) -> None:
    """Two versions row by row, and a version with itself: everything is identical."""
    data = setting.digits_data(tmp_path, 60)
    files = Files()
    one = files.pin(NETWORK, setting.content(NETWORK, tmp_path, 0), 1)
    other = files.pin(NETWORK, setting.content(NETWORK, tmp_path, 1), 2)
    same = Bench(tmp_path, data, setting.recipe(one, one, kind=plan.COMPARE), {"rows.npy": 60}, 60, files).run()
    assert (same[0].tally["identical"], same[0].tally["rows"]) == (60, 60)
    result, written = Bench(
        tmp_path, data, setting.recipe(one, other, kind=plan.COMPARE), {"rows.npy": 60}, 60, files
    ).run()
    read = table(plan.PARQUET, written)
    assert list(read["agrees"]) == list(read["label"] == read["baseline_label"])
    assert np.array_equal(
        read["largest_difference"],
        np.abs(read["scores"] - read["baseline_scores"])
        .max(axis=1)
        .clip(np.abs(read["label"] - read["baseline_label"])),
    )
    report = reports.report(plan.COMPARE, [result.tally])
    assert report["agreeing"] == int(read["agrees"].sum())
    assert report["rows"] == 60


def test_numerics_must_be_those_of_the_plan(tmp_path: Path) -> None:
    """A version that is planned for other numerics, or a writer of another version, is not run."""
    files = Files()
    pin = files.pin(NETWORK, setting.content(NETWORK, tmp_path))
    strange = type(pin)(pin.model, pin.version, pin.kind, pin.digest, pin.files, plan.Numerics("liam 0", plan.EXACT))
    np.save(tmp_path / "rows.npy", np.zeros((10, 64), np.float32))
    with pytest.raises(FailedPreconditionError, match="planned for 'liam 0'") as caught:
        Bench(tmp_path, tmp_path / "rows.npy", setting.recipe(strange), {"rows.npy": 10}, 10, files)
    assert caught.value.reason == "NUMERICS_MISMATCH"


def test_versions_are_proven_before_they_run(tmp_path: Path) -> None:
    """A version that contradicts its golden set is not run."""
    rows = np.zeros((3, 64), np.float32)
    np.savez(tmp_path / "golden.npz", input=rows, **{"expect/label": np.array([99, 99, 99])})
    files = Files()
    pin = files.pin(NETWORK, setting.content(NETWORK, tmp_path), golden_npz=(tmp_path / "golden.npz").read_bytes())
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(FailedPreconditionError, match=r"contradicts golden\.npz") as caught:
        Bench(tmp_path, tmp_path / "rows.npy", setting.recipe(pin), {"rows.npy": 3}, 3, files)
    assert caught.value.reason == "LOAD_FAILED"


def test_models_that_draw_numbers_are_refused(tmp_path: Path) -> None:
    """An ONNX model with random operators cannot be run by a job."""
    from onnx import TensorProto, helper

    node = helper.make_node("RandomNormalLike", ["input"], ["scores"])
    graph = helper.make_graph(
        [node],
        "random",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 64])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 64])],
    )
    files = Files()
    pin = files.pin(ONNX, models._model(graph).SerializeToString())
    np.save(tmp_path / "rows.npy", np.zeros((3, 64), np.float32))
    with pytest.raises(NotSupportedError, match="draws random numbers"):
        Bench(tmp_path, tmp_path / "rows.npy", setting.recipe(pin), {"rows.npy": 3}, 3, files)
