"""Runs of one row on memory that is kept give what other runs give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from neuralmesh_server.errors import InternalError
from neuralmesh_server.inference.backends.onnx import BOUND_BYTES, OnnxBackend, OnnxModel
from neuralmesh_server.inference.tensors import DTYPES, Signature
from tests.inference import models


def opened(folder: Path, content: bytes) -> OnnxModel:
    """Return a model."""
    path = folder / "m.onnx"
    path.write_bytes(content)
    return OnnxBackend().load({"m.onnx": path})


@pytest.mark.parametrize("datatype", sorted(set(models.ONNX_TYPES) - {"BYTES"}))
def test_every_fixed_width_passes_through_kept_memory(tmp_path: Path, datatype: str) -> None:
    """Raw elements of one row come out as they went in, run after run."""
    model = opened(tmp_path, models.identity_onnx(datatype))
    bound = model.bound_row(model.signature)
    assert bound is not None
    for values in ([0, 1], [1, 1], [1, 0]):
        raw = np.array([values], DTYPES[datatype]).tobytes()
        (place,), (result,) = bound.inputs, bound.outputs
        place[:] = raw
        bound.run()
        assert result.tobytes() == raw
        assert result.shape == (1, 2)


def test_kept_memory_gives_the_same_bits_as_new_arrays(tmp_path: Path) -> None:
    """Outputs stand in the order of the signature that was asked for, with the bits of an ordinary run."""
    model = opened(tmp_path, models.digits_onnx())
    signature = Signature(model.signature.inputs, tuple(reversed(model.signature.outputs)), "")
    bound = model.bound_row(signature)
    assert bound is not None
    rows = np.random.default_rng(5).random((50, 64), dtype=np.float32)
    for row in rows:
        bound.inputs[0][:] = row.tobytes()
        bound.run()
        found = model.run({"input": row[None]})
        for spec, result in zip(signature.outputs, bound.outputs, strict=True):
            assert result.tobytes() == found[spec.name].tobytes()


def test_text_is_not_bound(tmp_path: Path) -> None:
    """What has no fixed width takes the ordinary way."""
    model = opened(tmp_path, models.identity_onnx("BYTES"))
    assert model.bound_row(model.signature) is None


def identity(width: int) -> bytes:
    """Return a model that answers rows of a width as they are."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, width])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.mark.parametrize(("width", "kept"), [(BOUND_BYTES // 8, True), (BOUND_BYTES // 8 + 1, False)])
def test_large_rows_are_not_copied_into_kept_memory(tmp_path: Path, width: int, *, kept: bool) -> None:
    """Rows whose inputs and outputs have more bytes than the limit run where they stand in the request."""
    model = opened(tmp_path, identity(width))
    assert (model.bound_row(model.signature) is not None) == kept


def doubling() -> bytes:
    """Return a model that answers every row twice."""
    graph = helper.make_graph(
        [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_a_model_with_more_rows_out_than_in_is_not_bound(tmp_path: Path) -> None:
    """What one row gives is tried when the memory is made, so that no request meets a wrong size."""
    model = opened(tmp_path, doubling())
    assert model.bound_row(model.signature) is None


def looking_up() -> bytes:
    """Return a model that answers by a table of 41 entries, and fails beyond its end."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [None, 1])],
        [numpy_helper.from_array(np.arange(41, dtype=np.int64) * 2, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def test_a_failing_run_is_the_models_failure(tmp_path: Path) -> None:
    """A run that fails on kept memory says so, and the next one works."""
    model = opened(tmp_path, looking_up())
    bound = model.bound_row(model.signature)
    assert bound is not None
    bound.inputs[0][:] = np.int64(99).tobytes()
    with pytest.raises(InternalError, match="the model failed"):
        bound.run()
    bound.inputs[0][:] = np.int64(7).tobytes()
    bound.run()
    assert bound.outputs[0].tolist() == [[14]]
