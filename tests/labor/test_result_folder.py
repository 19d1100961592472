"""The folder of results: whole or absent, the same for the same job, and checked without a service."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pyarrow as pa
import pytest
from pyarrow import parquet

from neuralmesh import exceptions, labor_results
from neuralmesh.labor_results import ResultFolder
from neuralmesh_server import canonical
from neuralmesh_server.labor import plan, recount, verification
from tests.labor.committed import Committed, digest, make


def write(job: Committed, path, fetch=None) -> None:
    """Write a job's folder as every caller does; `fetch` returns the bytes of a part."""
    with ResultFolder(path, job.plan.canonical, job.manifest, job.output_digest) as folder:
        for part, place in folder.missing():
            place.write_bytes(fetch(part) if fetch else job.outputs[part.digest])
        folder.finish()


def verify(path):
    return verification.verify(path, lambda *documents: list(labor_results.parts(*documents)))


def content(path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in path.iterdir()}


@pytest.mark.parametrize("kind", [plan.INFER, plan.EVALUATE, plan.COMPARE])
def test_a_folder_explains_itself_and_holds(tmp_path, kind):
    """A written folder has its documents and parts, `sha256sum` finds them right, and so does the verification."""
    job = make(kind)
    write(job, tmp_path / "out")
    found = content(tmp_path / "out")
    reported = {"report.json"} if kind != plan.INFER else set()
    assert (
        set(found)
        == {
            *("plan.json", "manifest.json", "README.txt", "SHA256SUMS"),
            *(f"part-{number:05}.parquet" for number in range(3)),
        }
        | reported
    )
    assert digest(found["plan.json"]) == job.plan.digest
    assert digest(found["manifest.json"]) == job.output_digest
    said = found["README.txt"].decode()
    assert all(text in said for text in (job.plan.digest, job.output_digest, "digits/1", "rows skipped: 2"))
    sums = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(sums, cwd=tmp_path / "out", check=False).returncode == 0
    verdict = verify(tmp_path / "out")
    assert verdict.wrong == []
    assert ("the report follows from the parts" in verdict.held) == (kind != plan.INFER)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_the_same_job_gives_the_same_folder(tmp_path):
    """Two folders of one job are equal byte for byte."""
    for name in ("one", "two"):
        write(make(), tmp_path / name)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_shards_of_one_content_are_fetched_once(tmp_path):
    """Parts with one digest are written once and are all there."""
    job = make(same=True, shards=4)
    with ResultFolder(tmp_path / "out", job.plan.canonical, job.manifest, job.output_digest) as folder:
        fetched = [place.write_bytes(job.outputs[part.digest]) for part, place in folder.missing()]
        folder.finish()
    assert len(fetched) == 1
    assert len(list((tmp_path / "out").glob("part-*"))) == 4
    assert verify(tmp_path / "out").wrong == []


def test_nothing_is_visible_before_all_is_there(tmp_path):
    """A folder whose parts did not all come leaves nothing, neither there nor beside it."""
    job = make()

    def fetch(part):
        assert not (tmp_path / "out").exists()
        if part.name == "part-00001.parquet":
            raise ConnectionError
        return job.outputs[part.digest]

    with pytest.raises(ConnectionError):
        write(job, tmp_path / "out", fetch)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_came_short_is_not_taken(tmp_path):
    """A part with fewer bytes than the manifest says ends the work, and nothing becomes visible."""
    job = make()
    with pytest.raises(exceptions.DataLossError):
        write(job, tmp_path / "out", lambda part: job.outputs[part.digest][:-1])
    assert list(tmp_path.iterdir()) == []


def test_what_stands_there_is_kept(tmp_path):
    """A file, a link, or a folder with anything but this job is refused and stays as it was; an empty folder is taken."""
    job = make()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    write(make(shards=2), tmp_path / "other")
    for name in ("file", "folder", "link", "other"):
        with pytest.raises(FileExistsError, match="something else"):
            write(job, tmp_path / name)
    assert (tmp_path / "folder" / "notes").read_text() == "mine"
    assert verify(tmp_path / "other").wrong == []
    (tmp_path / "empty").mkdir()
    write(job, tmp_path / "empty")
    assert verify(tmp_path / "empty").wrong == []


def test_a_place_that_cannot_be_is_refused_before_a_job_runs(tmp_path):
    """A file, a link, a folder of other things, one without a parent to be in, and one within the data are refused."""
    data = tmp_path / "data"
    (data / "more").mkdir(parents=True)
    (data / "rows.npy").write_bytes(b"")
    (tmp_path / "link").symlink_to(data)
    for place in (data, data / "rows.npy", tmp_path / "link"):
        with pytest.raises(FileExistsError, match="something else"):
            labor_results.check_place(place)
    with pytest.raises(NotADirectoryError):
        labor_results.check_place(data / "rows.npy" / "out")
    for place in (data / "out", data / "more" / "out", data / "more"):
        with pytest.raises(exceptions.InvalidArgumentError, match="within the data"):
            labor_results.check_place(place, str(data))
    write(make(), tmp_path / "out")
    for place in (tmp_path / "out", tmp_path / "new", data / "more", tmp_path / "a" / "b"):
        labor_results.check_place(place, str(data / "rows.npy"))
    labor_results.check_place(tmp_path / "new", "s3://bucket/rows")


def test_the_same_job_mends_its_folder(tmp_path):
    """A folder of the same job is known to be complete; one that was damaged is replaced as a whole."""
    job = make()
    write(job, tmp_path / "out")
    folder = ResultFolder(tmp_path / "out", job.plan.canonical, job.manifest, job.output_digest)
    assert folder.is_complete()
    (tmp_path / "out" / "part-00001.parquet").unlink()
    assert not folder.is_complete()
    write(job, tmp_path / "out")
    assert folder.is_complete()
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_manifest_of_another_job_is_refused(tmp_path):
    """Documents that do not have the digests that the job says are DATA_LOSS."""
    job, other = make(), make(shards=2)
    for plan_bytes, manifest, output in (
        (job.plan.canonical, other.manifest, job.output_digest),
        (other.plan.canonical, job.manifest, job.output_digest),
    ):
        with pytest.raises(exceptions.DataLossError):
            ResultFolder(tmp_path / "out", plan_bytes, manifest, output)


def changed(name, old, new):
    def change(path):
        data = (path / name).read_bytes()
        assert old in data
        (path / name).write_bytes(data.replace(old, new, 1))

    return change


def resealed(change):
    """Return a change of the manifest's JSON that leaves it canonical."""

    def apply(path):
        said = json.loads((path / "manifest.json").read_bytes())
        change(said)
        (path / "manifest.json").write_bytes(canonical.encode(said))

    return apply


def flip(path):
    data = bytearray((path / "part-00001.parquet").read_bytes())
    data[40] ^= 1
    (path / "part-00001.parquet").write_bytes(data)


def better(said):
    said["report"]["accuracy"] = "1"


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (flip, "part-00001.parquet is sha256:"),
        (lambda path: (path / "part-00002.parquet").unlink(), "part-00002.parquet: No such file"),
        (lambda path: (path / "part-00007.parquet").write_bytes(b""), "part-00007.parquet belongs to no shard"),
        (lambda path: (path / "part-00000.parquet").write_bytes(b"short"), "part-00000.parquet has 5 bytes"),
        (lambda path: (path / "plan.json").unlink(), "plan.json: No such file"),
        (changed("plan.json", b'"rows_per_shard":10', b'"rows_per_shard":11'), "manifest.json is of the plan"),
        (changed("plan.json", b"{", b"{ "), "not the canonical bytes"),
        (changed("plan.json", b'"labor_plan":1', b'"labor_plan":"'), "plan.json"),
        (changed("manifest.json", b"{", b"{ "), "not canonical"),
        (changed("report.json", b'"rows":28', b'"rows":29'), "report.json is not the report"),
        (resealed(better), "does not follow from the parts: accuracy is '1'"),
        (resealed(lambda said: said["shards"][1].__setitem__(slice(2), ["", 0])), "shard 1 names no file"),
        (resealed(lambda said: said["shards"].pop()), "has 2 shards; the plan has 3"),
        (resealed(lambda said: said.update(rows=7)), "says 7 rows; its shards have 28"),
        (resealed(lambda said: said["shards"][1][3].clear()), "shard 1 has 9 rows and skips 0"),
        (resealed(lambda said: said["shards"][0].__setitem__(1, "x")), "'x' stands where a int belongs"),
        (resealed(lambda said: said.update(report=None)), "has no report"),
        (lambda path: (path / "manifest.json").write_text("[]"), "manifest.json"),
    ],
)
def test_the_verification_says_what_is_wrong(tmp_path, damage, named):
    """Every damage is found and named, and none is a traceback."""
    write(make(), tmp_path / "out")
    damage(tmp_path / "out")
    assert any(named in problem for problem in verify(tmp_path / "out").wrong), verify(tmp_path / "out").wrong


def test_an_inference_has_no_report(tmp_path):
    """Figures in the manifest of a job that counts nothing are found, since nothing in the folder speaks for them."""
    job = make(plan.INFER)
    forged = canonical.encode(json.loads(job.manifest) | {"report": {"accuracy": "1"}})
    write(Committed(job.plan, forged, job.outputs), tmp_path / "out")
    assert verify(tmp_path / "out").wrong == ["manifest.json has a report, which no inference gives"]


def test_a_plan_of_an_unknown_format_is_wrong(tmp_path):
    """A plan that asks for files that nobody writes is named as such, and is no traceback."""
    job = make(plan.INFER)
    write(job, tmp_path / "out")
    said = json.loads(job.plan.canonical)
    said["recipe"]["format"] = "pickle"
    (tmp_path / "out" / "plan.json").write_bytes(canonical.encode(said))
    assert verify(tmp_path / "out").wrong == ["plan.json: there are no jobs of kind 'infer' into 'pickle'"]


def test_what_people_put_beside_the_results_is_kept(tmp_path):
    """A damaged folder of the same job that holds somebody's own file is refused and left as it is, not replaced."""
    job = make()
    write(job, tmp_path / "out")
    (tmp_path / "out" / "part-00001.parquet").unlink()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="something else"):
        write(job, tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_parts_are_on_the_disk_before_the_folder_is_seen(tmp_path, monkeypatch):
    """Every file is synced before the folder gets its name, so that a power failure leaves no part without its bytes."""
    synced: set[int] = set()
    sync, replace = os.fsync, pathlib.Path.replace
    unsynced: list[str] = []

    def fsync(descriptor):
        synced.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    def renamed(self, target):
        if self.is_dir():
            unsynced.extend(entry.name for entry in self.iterdir() if entry.stat().st_ino not in synced)
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(pathlib.Path, "replace", renamed)
    write(make(), tmp_path / "out")
    assert unsynced == []
    assert len(synced) >= 7


def test_a_plan_that_leaves_rows_out_is_wrong(tmp_path):
    """A plan whose shards do not cover the data is found, be all digests right."""
    import dataclasses

    job = make(plan.INFER)
    said = json.loads(job.manifest)
    gap = dataclasses.replace(job.plan, shards=job.plan.shards[:-1])
    said |= {"plan": gap.digest, "shards": said["shards"][:-1], "rows": 19}
    manifest = canonical.encode(said)
    write(Committed(gap, manifest, job.outputs), tmp_path / "out")
    assert verify(tmp_path / "out").wrong == ["plan.json: its shards have 10 rows of b.npy, which has 20"]


def leaves(fact, path=()):
    """Yield the paths of all values that hold no others."""
    children = fact.items() if isinstance(fact, dict) else enumerate(fact) if isinstance(fact, list) else ()
    if not children:
        yield path
    for key, value in children:
        yield from leaves(value, (*path, key))


@pytest.mark.parametrize("value", [None, True, 1, "text", [], [[1]], {}])
def test_a_plan_of_other_types_is_wrong_and_no_accident(tmp_path, value):
    """Whatever stands in a plan where something of another type belongs: the verification says so and goes on."""
    write(make(), tmp_path / "out")
    sound = json.loads((tmp_path / "out" / "plan.json").read_bytes())
    for path in leaves(sound):
        said = json.loads(json.dumps(sound))
        place = said
        for key in path[:-1]:
            place = place[key]
        if type(place[path[-1]]) is type(value):
            continue
        place[path[-1]] = value
        (tmp_path / "out" / "plan.json").write_bytes(canonical.encode(said))
        assert any("plan.json" in text for text in verify(tmp_path / "out").wrong), path


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        *((plan.EVALUATE, column) for column in ("row", "true_label", "label", "scores")),
        *((plan.COMPARE, column) for column in ("row", "label", "baseline_label", "scores", "baseline_scores")),
    ],
)
@pytest.mark.parametrize("values", [None, [None] * 10, [{"a": 1}] * 10, [[1]] * 10, ["x"] * 10])
def test_parts_that_no_job_writes_are_no_accident(tmp_path, kind, column, values):
    """Parts with the digests of the manifest whose columns are missing or of other types end in a verdict."""
    job = make(kind)
    write(job, tmp_path / "out")
    said = json.loads(job.manifest)
    place = tmp_path / "out" / "part-00000.parquet"
    table = parquet.read_table(place)
    number = table.column_names.index(column)
    changed = table.drop([column]) if values is None else table.set_column(number, column, pa.array(values))
    parquet.write_table(changed, place)
    data = place.read_bytes()
    said["shards"][0][:2] = digest(data), len(data)
    (tmp_path / "out" / "manifest.json").write_bytes(canonical.encode(said))
    verdict = verify(tmp_path / "out")
    looked_at = column.endswith("label") or (column == "row" and values is None)
    assert not looked_at or verdict.wrong or "the report follows from the parts" not in verdict.held


def test_a_report_of_chosen_outputs_is_not_counted_again(tmp_path):
    """Where the job did not keep every output, the verification says that it cannot count, and finds nothing wrong."""
    write(make(outputs=("scores",)), tmp_path / "out")
    verdict = verify(tmp_path / "out")
    assert verdict.wrong == []
    assert any("cannot be counted" in text for text in verdict.held)


def test_all_formats_are_read_alike(tmp_path):
    """Parquet, Arrow and safetensors with the same columns give the same arrays."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    scores = np.arange(6, dtype=np.float32).reshape(3, 2)
    names = ["a", "", "ü"]
    table = pa.table(
        {
            "row": pa.array([0, 1, 2]),
            "name": pa.array(names, pa.large_string()),
            "scores": pa.FixedSizeListArray.from_arrays(pa.array(scores.reshape(-1)), 2),
        }
    )
    parquet.write_table(table, tmp_path / "x.parquet")
    with pa.ipc.new_file(tmp_path / "x.arrow", table.schema) as file:
        file.write_table(table)
    from safetensors.numpy import save_file

    text = "".join(names).encode()
    save_file(
        {
            "row": np.arange(3),
            "scores": scores,
            "name.utf8": np.frombuffer(text, np.uint8),
            "name.offsets": np.array([0, 1, 1, 3]),
        },
        tmp_path / "x.safetensors",
    )
    for suffix in ("parquet", "arrow", "safetensors"):
        columns = recount.read(tmp_path / f"x.{suffix}")
        assert columns["name"].tolist() == names
        assert columns["row"].tolist() == [0, 1, 2]
        assert (columns["scores"] == scores).all()
        assert columns["scores"].dtype == np.float32
