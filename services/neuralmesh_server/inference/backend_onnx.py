"""Kind `onnx`: models run by onnxruntime on the CPU, one thread a request.

A model is handed over as bytes, so that the runtime has no folder to look into; tensors stored in other files are
served from the version's own files or refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from neuralmesh_server.errors import InternalError, InvalidArgumentError
from neuralmesh_server.inference.backend import LoadError
from neuralmesh_server.inference.ending import EndedError
from neuralmesh_server.inference.onnx_scan import ScanError, external_files
from neuralmesh_server.inference.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.inference.ending import Ending

KIND = "onnx"

# onnxruntime's exceptions share no base but Exception.
FAILURES: tuple[type[Exception], ...] = (
    state.EngineError,
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.ModelLoaded,
    state.NoModel,
    state.NoSuchFile,
    state.NotImplemented,
    state.RuntimeException,
    RuntimeError,
    ValueError,
    TypeError,
    IndexError,
)

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}


class OnnxModel:
    """A session; see neuralmesh_server.inference.backend.Model."""

    exact: str = "build"
    predictable_cost: bool = False  # a graph may loop as often as its inputs say
    run_raw: Callable[[bytes, int], tuple[bytes, ...]] | None = None

    def __init__(self, session: Any) -> None:
        self.signature = Signature(
            tuple(_spec("input", node) for node in session.get_inputs()),
            tuple(_spec("output", node) for node in session.get_outputs()),
        )
        self._session = session
        self._strings = {spec.name for spec in self.signature.inputs if spec.datatype == "BYTES"}
        self._outputs = [spec.name for spec in self.signature.outputs]

    def run(self, inputs: Mapping[str, NDArray[Any]], ending: Ending | None = None) -> dict[str, NDArray[Any]]:
        """Return all outputs by name; strings come as objects."""
        if self._strings:
            inputs = {name: _text(name, data) if name in self._strings else data for name, data in inputs.items()}
        options = None
        if ending is not None:
            options = onnxruntime.RunOptions()
            options.log_severity_level = 4
            ending.by(lambda: setattr(options, "terminate", True))
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, inputs, options), strict=True))
        except FAILURES as error:
            if ending is not None and ending.ended:
                raise EndedError from error
            raise InternalError("MODEL_FAILED", f"the model failed: {error}", error=error) from error


class OnnxBackend:
    """Opens ONNX files."""

    def load(self, files: Mapping[str, Path], ending: Ending | None = None) -> OnnxModel:
        """Return the model in the version's one `.onnx` file, or in its one file of any name."""
        models = [name for name in files if name.endswith(".onnx")] or (list(files) if len(files) == 1 else [])
        if len(models) != 1:
            raise LoadError(f"a version of kind {KIND} has one file that ends in .onnx, this one has {len(models)}")
        content = files[models[0]].read_bytes()
        options = _options()
        try:
            external = sorted(external_files(content))
        except ScanError as error:
            raise LoadError(f"{models[0]} is no valid ONNX model: {error}") from error
        folder = models[0].rpartition("/")[0]
        # The runtime refers to these buffers until it has copied them into the session, so they live until then.
        buffers = [_external(name, folder, files) for name in external]
        if buffers:
            options.add_external_initializers_from_files_in_memory(external, buffers, [len(data) for data in buffers])
        if ending is not None:
            ending.by(lambda: options.set_load_cancellation_flag(True))
        try:
            return OnnxModel(
                onnxruntime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])
            )
        except FAILURES as error:
            if ending is not None and ending.ended:
                raise EndedError from error
            raise LoadError(f"{models[0]} is no valid ONNX model: {error}") from error


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena never gives memory back, so reloads would grow the process
    options.log_severity_level = 4
    return options


def _external(location: str, folder: str, files: Mapping[str, Path]) -> bytes:
    name = f"{folder}/{location}" if folder else location
    if name not in files:
        raise LoadError(f"the model wants to read {location!r}, which is no file of the version")
    return files[name].read_bytes()


def _spec(what: str, node: Any) -> TensorSpec:
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        raise LoadError(f"{what} {node.name!r} is a {node.type}, which is no tensor of the protocol")
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return TensorSpec(node.name, datatype, shape)


def _text(name: str, data: NDArray[Any]) -> NDArray[Any]:
    texts = np.empty(data.size, np.object_)
    try:
        texts[:] = [element.decode() for element in data.reshape(-1)]
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            "INPUT_INVALID", f"input {name!r} holds an element that is not UTF-8, which the model needs", input=name
        ) from error
    return texts.reshape(data.shape)
