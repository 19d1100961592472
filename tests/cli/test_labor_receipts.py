"""Receipts as data for jobs, from the command line."""

from __future__ import annotations

import numpy as np
import pytest

from neuralmesh_server import datasets
from neuralmesh_server.labor.plan import Columns

ROWS = np.random.default_rng(5).choice([-1, 1], (30, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def recorded(suite, onnx_model):
    """Return the commands with model `backfill`, of which ten predictions of three rows are recorded with payloads."""
    from neuralmesh.exceptions import NotFoundError
    from tests.processes import until

    suite.run("push", "backfill", onnx_model)
    suite.wait_ready("backfill", 1)
    suite.run("promote", "backfill", 1)
    suite.run("policy", "backfill", "--receipts", "all", "--payloads")
    with suite.client() as client:

        def recording() -> bool:
            identity = client.infer("backfill", {"input": ROWS[:3]}, version=1).prediction_id
            try:
                client.node.get_receipt(identity)
            except NotFoundError:
                return False
            return True

        until(recording, "receipts are kept")
        ids = [client.infer("backfill", {"input": rows}).prediction_id for rows in ROWS.reshape(10, 3, 4)]
        until(lambda: len(list(client.node.list_receipts("backfill"))) >= 11, "all are recorded")
    return suite, ids


def test_receipts_become_data_with_the_answers_of_then(recorded, tmp_path):
    """The newest receipts are rows in order, with id, place, version and answers, which a data set reads as inputs."""
    suite, ids = recorded
    said = suite.json("labor", "export-receipts", "backfill", "--out", tmp_path / "data", "--limit", 10)
    assert (said["rows"], said["receipts"], said["left_out"]) == (30, 10, {})
    (name,) = said["files"]
    with np.load(tmp_path / "data" / name, allow_pickle=False) as arrays:
        found = {part: arrays[part] for part in arrays.files}
    assert (found["input"] == ROWS).all()
    assert found["prediction_id"].tolist() == [one for one in ids for _ in range(3)]
    assert found["prediction_row"].tolist() == [0, 1, 2] * 10
    assert set(found["then_version"].tolist()) == {1}
    assert (found["then_label"] == found["then_scores"].argmax(axis=1)).all()
    columns = Columns((("input", ("input",)),), "then_label", "prediction_id")
    block = datasets.read(str(tmp_path / "data"), name, 0, 30, columns)
    assert (block.inputs["input"] == ROWS).all()
    assert block.label.tolist() == found["then_label"].tolist()
    assert "--id prediction_id" in said["next"]
    assert "--input input=input" in said["next"]


def test_the_same_receipts_give_the_same_bytes(recorded, tmp_path):
    """Exported twice, the data has one digest; an export over another one is refused and changes nothing."""
    suite, _ = recorded
    for name in ("one", "two"):
        suite.run("labor", "export-receipts", "backfill", "--out", tmp_path / name, "--limit", 10)
    one, two = ((tmp_path / name / "receipts-00000.npz").read_bytes() for name in ("one", "two"))
    assert one == two
    error = suite.error("labor", "export-receipts", "backfill", "--out", tmp_path / "one", code=1)
    assert "exists already" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_receipts_without_payloads_are_counted(recorded, onnx_model, tmp_path):
    """Receipts that hold only digests give no row, and the command says how many they were."""
    from tests.processes import until

    suite, _ = recorded
    suite.run("push", "digests-only", onnx_model)
    suite.wait_ready("digests-only", 1)
    suite.run("promote", "digests-only", 1)
    suite.run("policy", "digests-only", "--receipts", "all")
    with suite.client() as client:

        def recorded_one() -> bool:
            client.infer("digests-only", {"input": ROWS[:1]}, version=1)
            return bool(list(client.node.list_receipts("digests-only")))

        until(recorded_one, "a receipt is kept")
    said = suite.json("labor", "export-receipts", "digests-only", "--out", tmp_path / "none")
    assert (said["rows"], said["files"]) == (0, [])
    assert list(said["left_out"]) == ["only digests were kept"]
