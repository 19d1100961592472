"""Indexes and transforms pushed from the command line: found by their content, shown, asked, replayed, proved."""

from __future__ import annotations

import numpy as np
import pytest

from liam_core import pack, steps, write_binary_index, write_signal_transform
from neuralmesh_server.cli import model_format
from neuralmesh_server.errors import InvalidArgumentError

VECTORS = np.random.default_rng(3).standard_normal((30, 16)).astype(np.float32)


@pytest.fixture
def index(tmp_path):
    """Return an index, in a file whose name says nothing."""
    path = tmp_path / "nearest"
    write_binary_index(path, codes=pack(VECTORS), nbits=16, ids=np.arange(30) + 100, k=2)
    return path


@pytest.fixture
def transform(tmp_path):
    """Return a transform."""
    path = tmp_path / "signs.safetensors"
    write_signal_transform(path, width=16, steps=[steps.Threshold(), steps.Unpack("int8")])
    return path


def test_kinds_are_told_from_the_content(index, transform):
    """What a file says of itself decides, and its signature is declared with it."""
    found = model_format.inspect({"m": index}, "auto")
    assert found.kind == "liam.binary_index"
    assert found.inputs == (("input", "FP32", (-1, 16)),)
    assert found.outputs == (("ids", "INT64", (-1, 2)), ("distances", "INT32", (-1, 2)))
    found = model_format.inspect({"m": transform}, "auto")
    assert (found.kind, found.outputs) == ("liam.signal_transform", (("output", "INT8", (-1, 16)),))
    assert model_format.label_output(found, None) == ""


def test_a_file_of_another_kind_is_refused(index):
    """A kind that is named must be that of the content."""
    with pytest.raises(InvalidArgumentError, match=r"m is no valid liam.signal_transform file: __metadata__.format"):
        model_format.inspect({"m": index}, "liam.signal_transform")


def test_a_damaged_index_is_refused(suite, index):
    """A push of a file that breaks a rule names the rule and stores nothing."""
    index.write_bytes(index.read_bytes().replace(b"hamming", b"hammung"))
    said = suite.error("push", "damaged", index, code=2)
    assert "is no valid liam.binary_index file: index.metric: 'hammung' is none of hamming, dot, jaccard" in said


def test_an_index_from_push_to_proof(suite, index, tmp_path):
    """Pushed, promoted, asked, replayed; a second version is proved against the first and takes its place."""
    np.save(tmp_path / "rows.npy", VECTORS[:3])
    np.savez(tmp_path / "examples.npz", input=VECTORS[:8])
    suite.run("push", "nearest", index, "--promote")
    suite.wait_ready("nearest", 1)
    shown = suite.json("show", "nearest@1")
    assert shown["kind"] == "liam.binary_index"
    suite.run("policy", "nearest", "--receipts", "all", "--payloads")
    answer = suite.json("predict", "nearest", "--input", f"input=@{tmp_path / 'rows.npy'}")
    assert [row[0] for row in answer["outputs"]["ids"]["data"]] == [100, 101, 102]
    write_binary_index(index, codes=pack(VECTORS), nbits=16, ids=np.arange(30) + 100, k=2, oversample=3)
    assert suite.json("push", "nearest", index, "--golden", tmp_path / "examples.npz")["version"] == 2
    suite.wait_ready("nearest", 2)
    suite.run("prove", "nearest", "2")


def test_a_transform_from_push_to_answer(suite, transform, tmp_path):
    """Pushed and asked: the answer is the signs of what was sent."""
    np.save(tmp_path / "rows.npy", VECTORS[:2])
    suite.run("push", "signs", transform)
    suite.wait_ready("signs", 1)
    answer = suite.json("predict", "signs", "--input", f"input=@{tmp_path / 'rows.npy'}")
    assert np.array_equal(answer["outputs"]["output"]["data"], np.where(VECTORS[:2] >= 0, 1, -1))
