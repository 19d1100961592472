"""Files whose graph is no single way from rows to scores, or no graph at all, are refused and say why."""

from __future__ import annotations

import re

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.qonnx.importer import import_network
from tests.qonnx.builder import Builder


def changed(change):
    """Return a small model after a change of its protobuf."""
    model = Builder(2, (6,), seed=3).pair("Mul", 2.0).bipolar().matmul(4).bipolar().matmul(3).model()
    change(model)
    return model


def shape_of_input(*sizes):
    def change(model):
        info = helper.make_tensor_value_info("global_in", TensorProto.FLOAT, sizes)
        model.graph.input[0].CopyFrom(info)

    return change


def external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def shared(model):
    """Let a second node read the rows after the first step."""
    model.graph.node.append(helper.make_node("Identity", ["Mul_0_out"], ["more"], name="Branch"))


def cut_short(model):
    model.graph.initializer[0].raw_data = b"\0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shape_of_input(2, "features"), "input 'global_in' has the shape [2, 'features']: want rows"),
        (shape_of_input(6), "input 'global_in' has the shape [6]"),
        (shape_of_input(2, 0), "input 'global_in' has the shape [2, '?']"),
        (lambda m: m.graph.input.add().CopyFrom(m.graph.output[0]), "the model has 2 inputs and 1 outputs"),
        (lambda m: m.graph.output.add().CopyFrom(m.graph.input[0]), "the model has 1 inputs and 2 outputs"),
        (lambda m: setattr(m.graph.output[0], "name", "Mul_0_out"), "the output 'Mul_0_out' is not the end of the way"),
        (
            lambda m: setattr(m.opset_import[0], "version", 8),
            "imports version [8] of ONNX's operators: want one, 9 or later",
        ),
        (lambda m: setattr(m.opset_import[0], "version", 999), "node 'Mul_0' (Mul): onnxruntime cannot run it"),
        (external, "tensor 'param_0' keeps its data in another file"),
        (cut_short, "tensor 'param_0' cannot be read"),
        (shared, "node 'Branch' (Identity): it shares 'Mul_0_out' with node 'BipolarQuant_1' (BipolarQuant)"),
        (
            lambda m: m.graph.node[1].output.append("second"),
            "node 'BipolarQuant_1' (BipolarQuant): it has more than one output",
        ),
        (lambda m: m.graph.node[0].input.append("param_0"), "node 'Mul_0' (Mul): want one constant beside the rows"),
        (
            lambda m: m.graph.node[1].input.pop(),
            "node 'BipolarQuant_1' (BipolarQuant): want the rows, then a constant scale",
        ),
        (
            lambda m: m.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float64(2), "param_0")),
            "node 'Mul_0' (Mul): 'param_0' is float64: want float32",
        ),
        (
            lambda m: m.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.ones((5, 4), np.float32), "param_2")),
            "node 'MatMul_3' (MatMul): its weights have 5 rows for 6 features",
        ),
        (
            lambda m: m.graph.node[1].output.__setitem__(0, "Mul_0_out"),
            "node 'BipolarQuant_1' (BipolarQuant): it makes 'Mul_0_out', which is made already",
        ),
    ],
)
def test_models_of_another_form_are_refused(change, message, tmp_path):
    """Unknown sizes, branches, other files, broken tensors and wrong inputs of nodes are named."""
    path = tmp_path / "model.onnx"
    path.write_bytes(changed(change).SerializeToString())
    with pytest.raises(InvalidArgumentError, match=re.escape(message)):
        import_network(path)


def test_files_that_are_no_model_are_refused(tmp_path):
    """Bytes that are no protobuf message are no valid model."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(InvalidArgumentError, match=re.escape("model.onnx is no valid ONNX model")):
        import_network(path)
