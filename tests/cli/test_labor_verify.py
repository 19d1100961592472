"""`neuralmesh labor verify`: what it prints and how it ends."""

from __future__ import annotations

import numpy as np

from neuralmesh_server import datasets
from neuralmesh_server.labor import plan, results
from neuralmesh_server.labor.plan import Columns, DataFile, Plan, Recipe, Shard
from neuralmesh_server.labor.results import ActionResult
from tests.labor.committed import Committed, digest, make, pin
from tests.labor.test_result_folder import write


def over(data) -> Committed:
    """Return a committed job over data that there is."""
    recipe = Recipe(plan.INFER, (pin(),), Columns(), (), plan.PARQUET, "pyarrow 1", plan.FAIL, 64)
    frozen = datasets.DataSet(str(data), recipe.columns).freeze(2)
    files = tuple(DataFile(file.path, file.size, file.digest, file.rows) for file in frozen.files)
    digests = [name for of_file in frozen.digests for name in of_file]
    shards = tuple(Shard(0, 2 * number, 2, name, 8) for number, name in enumerate(digests))
    made = Plan(recipe, files, 2, shards)
    parts = [b"part %d" % number for number in range(len(shards))]
    held = {digest(part): part for part in parts}
    given = [ActionResult(2, digest(part), len(part)) for part in parts]
    return Committed(made, results.manifest(made.digest, given, None), held)


def test_what_holds_is_said(commands, tmp_path):
    """A sound folder is 0, with every finding on a line, or as JSON."""
    write(make(), tmp_path / "out")
    shown = commands.run("labor", "verify", tmp_path / "out").stdout
    assert "ok     the report follows from the parts" in shown
    said = commands.json("labor", "verify", tmp_path / "out")
    assert (said["wrong"], said["output_digest"], said["rows"]) == ([], make().output_digest, 28)


def test_what_is_wrong_is_said(commands, tmp_path):
    """A damaged folder is 1, and the line on standard error names the file."""
    write(make(), tmp_path / "out")
    (tmp_path / "out" / "part-00001.parquet").write_bytes(b"")
    done = commands.run("labor", "verify", tmp_path / "out", code=1)
    assert "WRONG  part-00001.parquet has 0 bytes" in done.stdout
    assert "part-00001.parquet" in done.stderr
    commands.run("labor", "verify", tmp_path / "nothing", code=2)


def test_the_data_is_looked_at_again(commands, tmp_path):
    """With --data a changed, a missing and a new file are named, and data that is the same is found so."""
    (tmp_path / "data").mkdir()
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    np.save(tmp_path / "data" / "a.npy", rows)
    write(over(tmp_path / "data"), tmp_path / "out")
    same = commands.run("labor", "verify", tmp_path / "out", "--data", tmp_path / "data").stdout
    assert "the data is what the plan says: 1 file, 4 rows" in same
    rows[3, 1] = 0
    np.save(tmp_path / "data" / "a.npy", rows)
    changed = commands.run("labor", "verify", tmp_path / "out", "--data", tmp_path / "data", code=1)
    assert "WRONG  a.npy is " in changed.stdout
    (tmp_path / "data" / "a.npy").rename(tmp_path / "data" / "b.npy")
    moved = commands.run("labor", "verify", tmp_path / "out", "--data", tmp_path / "data", code=1).stdout
    assert "WRONG  a.npy is not in the data" in moved
    assert "WRONG  b.npy is in the data and not in the plan" in moved
