"""Runs one node as qonnx's executor does: by onnxruntime, in a model of that node alone, constants among its inputs.

So the float32 arithmetic that thresholds are folded from is the model's own, whatever formula a runtime has for
BatchNormalization. QONNX's operators, which onnxruntime does not know, are in `quantisers` and `products`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnx import helper

from neuralmesh_server.inference.backends.onnx import FAILURES
from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import NodeProto

IR_VERSION = 8
_QUIET = 4


class NodeRun:
    """One node, ready to run on any number of rows.

    Args:
        node: A node of ONNX itself with one output.
        opset: Version of ONNX's operators that the model imports.
    """

    def __init__(self, node: NodeProto, opset: int) -> None:
        self._node = node
        self._opset = opset
        self._session: Any = None

    def __call__(self, values: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the node's output for the tensors that it names, whose types are always those of the first call.

        Raises:
            InvalidArgumentError: onnxruntime cannot run the node; the message names it.
        """
        feed = {name: values[name] for name in self._node.input if name}
        try:
            if self._session is None:
                self._session = self._start(feed)
            return np.asarray(self._session.run(None, feed)[0])
        except FAILURES as error:
            raise refused(self._node, f"onnxruntime cannot run it: {' '.join(str(error).split())}") from error

    def _start(self, feed: Mapping[str, NDArray[Any]]) -> Any:
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None)
            for name, array in feed.items()
        ]
        outputs = [helper.make_empty_tensor_value_info(self._node.output[0])]
        graph = helper.make_graph([self._node], "node", inputs, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)], ir_version=IR_VERSION)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
