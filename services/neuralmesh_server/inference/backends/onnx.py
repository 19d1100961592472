"""Kind `onnx`: models run by onnxruntime on the CPU, one thread a request.

A model is handed over as bytes, so that the runtime has no folder to look into; tensors stored in other files are
served from the version's own files or refused.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from neuralmesh_server.errors import InternalError, InvalidArgumentError
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.backends.ending import EndedError
from neuralmesh_server.inference.backends.onnx_build import KIND, PROVIDER
from neuralmesh_server.inference.backends.onnx_cost import is_predictable, is_repeatable
from neuralmesh_server.inference.backends.onnx_scan import ScanError, scan
from neuralmesh_server.inference.tensors import DTYPES, Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.backend import Upstream
    from neuralmesh_server.inference.backends.ending import Ending

BOUND_BYTES = 1 << 14
"""Most bytes of the inputs and outputs of a row that runs on memory that is kept."""
_BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16

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


class BoundRun:
    """Runs of one row on memory that is kept, which saves the making of arrays; for one caller at a time.

    Attributes:
        inputs: Where the raw elements go, in the order of the signature.
        outputs: Where the results stand after `run`, in the order of the signature.
    """

    __slots__ = ("_binding", "_inputs", "_session", "inputs", "outputs")

    def __init__(
        self, session: Any, binding: Any, inputs: tuple[NDArray[Any], ...], outputs: tuple[NDArray[Any], ...]
    ) -> None:
        self._session = session
        self._binding = binding
        self._inputs = inputs  # the binding holds bare addresses
        self.inputs = tuple(array.reshape(-1).view(np.uint8).data for array in inputs)
        self.outputs = outputs

    def run(self) -> None:
        """Run; raises MODEL_FAILED."""
        try:
            self._session.run_with_iobinding(self._binding)
        except FAILURES as error:
            raise InternalError("MODEL_FAILED", f"the model failed: {error}", error=error) from error


class OnnxModel:
    """A session; see neuralmesh_server.inference.backends.backend.Model."""

    exact: str
    predictable_cost: bool
    run_raw: Callable[[bytes | memoryview, int], tuple[bytes, ...]] | None = None
    upstream: Upstream | None = None
    ragged: frozenset[str] = frozenset()  # a graph does not say; `batching` finds out

    def __init__(self, session: Any, *, predictable_cost: bool = False, repeatable: bool = True) -> None:
        self.predictable_cost = predictable_cost
        self.exact = "build" if repeatable else "unverified"
        self.signature = Signature(
            tuple(_spec("input", node) for node in session.get_inputs()),
            tuple(_spec("output", node) for node in session.get_outputs()),
        )
        self._session = session
        self._strings = {spec.name for spec in self.signature.inputs if spec.datatype == "BYTES"}
        self._outputs = [spec.name for spec in self.signature.outputs]
        # NumPy has no such type, so that its bits go in and come out by another way.
        self._bfloat = any(spec.datatype == "BF16" for spec in (*self.signature.inputs, *self.signature.outputs))

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
            if self._bfloat:
                return self._run_values(inputs, options)
            return dict(zip(self._outputs, self._session.run(self._outputs, inputs, options), strict=True))
        except FAILURES as error:
            if ending is not None and ending.ended:
                raise EndedError from error
            raise InternalError("MODEL_FAILED", f"the model failed: {error}", error=error) from error

    def bound_row(self, signature: Signature) -> BoundRun | None:
        """Return a way to run one row on memory that is kept; None where a size is not known, or large."""
        specs = (*signature.inputs, *signature.outputs)
        if self._bfloat or any(spec.datatype == "BYTES" or not spec.batched or -1 in spec.shape[1:] for spec in specs):
            return None
        inputs, outputs = (
            {spec.name: np.zeros((1, *spec.shape[1:]), DTYPES[spec.datatype]) for spec in side}
            for side in (signature.inputs, signature.outputs)
        )
        if sum(array.nbytes for side in (inputs, outputs) for array in side.values()) > BOUND_BYTES:
            return None  # to copy them costs more than to make arrays
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        bound = BoundRun(self._session, binding, tuple(inputs.values()), tuple(outputs.values()))
        try:
            bound.run()
        except InternalError:
            return None  # its outputs are not as long as its inputs
        return bound

    def _run_values(self, inputs: Mapping[str, NDArray[Any]], options: Any) -> dict[str, NDArray[Any]]:
        values = {spec.name: _value(spec, inputs[spec.name]) for spec in self.signature.inputs}
        results = self._session.run_with_ort_values(self._outputs, values, options)
        return {spec.name: _array(spec, value) for spec, value in zip(self.signature.outputs, results, strict=True)}


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
            named = scan(content)
        except ScanError as error:
            raise LoadError(f"{models[0]} is no valid ONNX model: {error}") from error
        external = sorted(named.files)
        folder = models[0].rpartition("/")[0]
        # The runtime refers to these buffers until it has copied them into the session, so they live until then.
        buffers = [_external(name, folder, files) for name in external]
        if buffers:
            options.add_external_initializers_from_files_in_memory(external, buffers, [len(data) for data in buffers])
        if ending is not None:
            ending.by(lambda: options.set_load_cancellation_flag(True))
        try:
            session = onnxruntime.InferenceSession(content, sess_options=options, providers=[PROVIDER])
            operators = named.operators
            return OnnxModel(session, predictable_cost=is_predictable(operators), repeatable=is_repeatable(operators))
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


def _value(spec: TensorSpec, data: NDArray[Any]) -> Any:
    data = np.ascontiguousarray(data).reshape(data.shape)
    if spec.datatype == "BF16":
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(data, _BFLOAT16)
    return onnxruntime.OrtValue.ortvalue_from_numpy(data)


def _array(spec: TensorSpec, value: Any) -> NDArray[Any]:
    if spec.datatype != "BF16":
        array: NDArray[Any] = value.numpy()
        return array
    shape = value.shape()
    if 0 in shape:
        return np.empty(shape, np.uint16)
    held = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())  # a copy: the runtime owns the elements
    return np.frombuffer(held, np.uint16).reshape(shape)


def _text(name: str, data: NDArray[Any]) -> NDArray[Any]:
    texts = np.empty(data.size, np.object_)
    try:
        texts[:] = [element.decode() for element in data.reshape(-1)]
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            "INPUT_INVALID", f"input {name!r} holds an element that is not UTF-8, which the model needs", input=name
        ) from error
    return texts.reshape(data.shape)
