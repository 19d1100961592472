"""Receipts, replays and proofs from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from liam_core import write_binary_network
from neuralmesh.inference.v1.receipt_pb2 import Receipt
from tests.cli.conftest import WEIGHTS

EXAMPLES = np.random.default_rng(3).choice([-1, 1], (60, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def proved(suite, onnx_model, tmp_path_factory):
    """Return the commands with model `evidence`, which keeps payloads.

    Version 1 is the ONNX model, which is production; version 2 a packed network of the same weights with examples, and
    version 3 one of other weights.
    """
    folder = tmp_path_factory.mktemp("evidence")
    np.savez(folder / "examples.npz", input=EXAMPLES)
    for name, weights in (("same", WEIGHTS), ("other", -WEIGHTS)):
        write_binary_network(
            folder / f"{name}.safetensors",
            features=4,
            encoding_thresholds=np.zeros(4, np.float32),
            hidden=[],
            head_weights=weights,
        )
    suite.run("push", "evidence", onnx_model)
    for name in ("same", "other"):
        suite.run("push", "evidence", folder / f"{name}.safetensors", "--golden", folder / "examples.npz")
    for version in (1, 2, 3):
        suite.wait_ready("evidence", version)
    suite.run("promote", "evidence", 1)
    suite.run("policy", "evidence", "--receipts", "all", "--payloads")
    return suite


def predicted(commands, *arguments) -> str:
    """Return the id of a prediction whose receipt is kept; the policy reaches the node a moment after it is set."""
    from neuralmesh.exceptions import NotFoundError
    from tests.processes import until

    ids = []

    def is_kept() -> bool:
        found = commands.json("predict", "evidence", "--input", "input=[1, -1, 1, -1]", *arguments)
        ids.append(found["prediction_id"])
        with commands.client() as client:
            try:
                client.node.get_receipt(ids[-1])
            except NotFoundError:
                return False
        return True

    until(is_kept, "receipts are kept")
    return ids[-1]


def test_a_prediction_is_listed_and_replayed(proved):
    """`receipts` lists it, `replay` finds the same bits, and exits with 0 for another version whatever it says."""
    identity = predicted(proved)
    listed = proved.json("receipts", "evidence")
    assert listed["receipts"][0]["prediction_id"] == identity
    assert listed["lost_receipts"] == 0
    assert identity in proved.run("receipts", "evidence", "--limit", 5).stdout
    assert "same platform" in proved.run("receipts", "evidence", "--version", 1).stdout
    shown = proved.run("replay", identity).stdout
    assert "identical: the same bits" in shown
    assert "models/evidence/versions/1" in shown
    found = proved.json("replay", identity)
    assert (found["verdict"], found["version"]) == ("VERDICT_IDENTICAL", 1)
    other = proved.json("replay", identity, "--version", 3)
    assert (other["verdict"], other["version"]) == ("VERDICT_DIFFERENT", 3)
    assert [output["identical"] for output in other["outputs"]] == [False, False]
    assert "different" in proved.run("replay", identity, "--version", 3).stdout


def test_a_receipt_in_a_file_is_replayed_or_found_out(proved, tmp_path):
    """A kept receipt replays; one whose outputs were changed exits with 1; a request completes a receipt of digests."""
    kept, request = tmp_path / "receipt", tmp_path / "request"
    proved.run("predict", "evidence", "--input", "input=[1, 1, 1, -1]", "--version", 2, "--receipt", kept)
    assert "identical" in proved.run("replay", "--receipt", kept).stdout
    receipt = Receipt.FromString(kept.read_bytes())
    request.write_bytes(receipt.request)
    receipt.ClearField("request")
    receipt.ClearField("response")
    kept.write_bytes(receipt.SerializeToString())
    assert "RECEIPT_INCOMPLETE" in proved.error("replay", "--receipt", kept, code=1)
    assert "identical" in proved.run("replay", "--receipt", kept, "--request", request).stdout
    receipt.outputs_digest = "sha256:" + "0" * 64
    kept.write_bytes(receipt.SerializeToString())
    broken = proved.run("replay", "--receipt", kept, "--request", request, code=1)
    assert "BROKEN" in broken.stdout
    assert "gave other outputs than it gave then" in broken.stderr
    request.write_bytes(b"another request")
    assert "made from sha256:" in proved.error("replay", "--receipt", kept, "--request", request, code=2)


def test_replay_says_what_it_needs(proved, tmp_path):
    """Neither and both of id and file, an id that has no receipt, and a file that holds none are told apart."""
    strange = tmp_path / "strange"
    strange.write_bytes(b"\xff\xff\xff")
    assert "either" in proved.error("replay", code=2)
    assert "either" in proved.error("replay", "some id", "--receipt", strange, code=2)
    assert "holds no receipt" in proved.error("replay", "--receipt", strange, code=2)
    assert "RECEIPT_NOT_FOUND" in proved.error("replay", "nm1.local." + "A" * 64, code=3)


def test_prove_prints_figures_and_keeps_limits(proved):
    """A candidate with the same weights agrees; the other one does not, and misses what it is held to."""
    found = proved.json("prove", "evidence", 2)
    assert (found["source"], found["requests"], found["agreeing_rows"]) == ("SOURCE_GOLDEN", 60, 60)
    shown = proved.run("prove", "evidence", 2, "--min-agreement", "100%", "--max-new-errors", 0).stdout
    assert "60 from the golden set" in shown
    assert "100% (60 of 60 rows)" in shown
    missed = proved.run("prove", "evidence", 3, "--min-agreement", "99%", "--max-difference", "0.5", code=1)
    assert "misses an agreement of 99%, a difference of at most 0.5 (PROOF_INSUFFICIENT)" in missed.stderr
    assert proved.json("prove", "evidence", 3, "--baseline", 2)["baseline_version"] == 2
    assert "not golden or recorded" in proved.error("prove", "evidence", 2, "--source", "dreams", code=2)
    predicted(proved)
    assert proved.json("prove", "evidence", 2, "--source", "recorded")["source"] == "SOURCE_RECORDED"


def test_a_protected_alias_is_promoted_with_a_proof(proved):
    """A refusal says what to do; --prove does it, and the evidence stands in the history."""
    assert "nothing to be compared with" in proved.error(
        "promote", "evidence", 1, "--alias", "guarded", "--prove", code=2
    )
    proved.run("promote", "evidence", 1, "--alias", "guarded")
    proved.run("protect", "evidence", "--alias", "guarded", "--require-proof", "--min-agreement", "99%")
    refused = proved.error("promote", "evidence", 2, "--alias", "guarded", code=1)
    assert "promote with --prove (PROOF_REQUIRED)" in refused
    short = proved.run("promote", "evidence", 3, "--alias", "guarded", "--prove", code=1)
    assert "PROOF_INSUFFICIENT" in short.stderr
    assert "neuralmesh prove evidence 3" in short.stderr
    moved = proved.run("promote", "evidence", 2, "--alias", "guarded", "--prove", "--reason", "proved").stdout
    assert "100% (60 of 60 rows)" in moved
    assert "1 -> 2" in moved
    history = proved.json("history", "evidence", "--alias", "guarded")
    assert history[0]["alias_moved"]["proof"]["agreeing_rows"] == 60


def test_a_golden_set_is_read_before_it_is_sent(proved, onnx_model, tmp_path):
    """One that does not fit, and a second one beside one in the folder, are refused and nothing is pushed."""
    before = len(proved.json("versions", "evidence"))
    np.savez(tmp_path / "wrong.npz", input=EXAMPLES[:, :3])
    refused = proved.error("push", "evidence", onnx_model, "--golden", tmp_path / "wrong.npz", code=2)
    assert "has shape [60, 3]" in refused
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "net.onnx").write_bytes(onnx_model.read_bytes())
    np.savez(folder / "golden.npz", input=EXAMPLES)
    twice = proved.error("push", "evidence", folder, "--golden", folder / "golden.npz", code=2)
    assert "a second one" in twice
    assert len(proved.json("versions", "evidence")) == before
    pushed = proved.json("push", "evidence", folder)
    assert [file["path"] for file in pushed["files"]] == ["golden.npz", "net.onnx"]


def table(path, offset):
    """Write an ONNX model that looks rows up in a table of four, and fails for any other index."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        "table",
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["rows"])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(np.arange(4, dtype=np.float32) + offset, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def test_a_proof_in_which_nothing_was_compared_proves_nothing(suite, tmp_path):
    """Two versions that fail every example: `prove` exits with 1, and a protected alias does not move."""
    np.savez(tmp_path / "beyond.npz", index=np.array([9, 9, 9], np.int64))
    for number, offset in enumerate((0, 100), start=1):
        table(tmp_path / "table.onnx", offset)
        suite.run("push", "table", tmp_path / "table.onnx", *(("--golden", tmp_path / "beyond.npz") * (number > 1)))
        suite.wait_ready("table", number)
    suite.run("promote", "table", 1)
    suite.run("protect", "table", "--require-proof")
    failed = suite.run("prove", "table", 2, code=1)
    assert "none answered by both" in failed.stdout
    assert "misses a request that both versions answered (PROOF_INSUFFICIENT)" in failed.stderr
    refused = suite.run("promote", "table", 2, "--prove", code=1)
    assert "min_requests is 1, the proof has 0" in refused.stderr
    said = suite.error("promote", "table", 2, "--prove", "--source", "recorded", code=1)
    assert "push a version with --golden FILE" in said
    assert "neuralmesh policy table --receipts all --payloads" in said
    assert suite.json("versions", "table")[-1]["aliases"] == ["production"]


def test_promote_proves_the_version_that_the_move_exposes(proved):
    """Beside a canary that stays, a new shadow is proved; a state that holds already moves nothing, and says so."""
    command = ("promote", "evidence", 1, "--alias", "arms")
    canary = ("--canary", 2, "--share", "10%")
    proved.run(*command)
    proved.run("protect", "evidence", "--alias", "arms", "--require-proof")
    assert proved.json(*command, *canary, "--prove")["alias"]["proof"]["candidate_version"] == 2
    moved = proved.json(*command, *canary, "--shadow", 3, "--prove")["alias"]
    assert (moved["proof"]["candidate_version"], moved["state"]["shadow"]["version"]) == (3, 3)
    again = proved.run(*command, *canary, "--shadow", 3, "--prove").stdout
    assert f"already (revision {moved['revision']}); nothing moved, and the proof is not kept" in again
    assert "nothing moved\n" in proved.run(*command, *canary, "--shadow", 3).stdout
    proved.run(*command)
    assert "promote without --prove" in proved.error(*command, "--prove", code=2)
