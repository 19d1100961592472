"""Running a binary network: one C call from float rows to labels and scores."""

import os
from typing import Any, Final, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from liam_core.definition import FloatLayer, Head, NetworkDefinition, TableHead
from liam_core.errors import ModelFormatError
from liam_core.kernel import aligned_bytes, call, ffi, lib, pointer, status_text
from liam_core.profile import FORMAT, INPUT_NAME, LABEL_NAME, SCORES_NAME, format_version, read_binary_network

__all__ = ["BinaryNetwork"]

FLOAT_BYTES: Final = 4
LABEL_BYTES: Final = 8
REPLY_BYTES: Final = 1 << 16  # raw replies up to this size are made in memory that is kept
_FLOAT32: Final = np.dtype(np.float32)
_INT64: Final = np.dtype(np.int64)
_from_buffer: Final = ffi.from_buffer
_run: Final = lib.liam_network_run


class BinaryNetwork:
    """A network that is ready to run; immutable, and safe to share by threads.

    Input `input`, float32 (n, features). Outputs `label`, int64 (n,), the class with the greatest score (the
    lowest on ties), and `scores`, float32 (n, classes). Every row's results are the same bits whatever rows
    are beside it, at every SIMD level. A NaN feature is below every threshold, and so is what an input layer
    of floats makes of it.
    """

    def __init__(self, definition: NetworkDefinition) -> None:
        self._hidden = [len(layer.weights) for layer in definition.hidden]
        self._input_bits = len(definition.encoding.source)
        self._features = definition.features
        self._classes = definition.classes
        self._format_version = format_version(definition)
        self._floats: dict[str, Any] = {}
        if definition.input_layer is not None:
            self._floats["input_layer"] = definition.encoding.features
        if isinstance(definition.head, FloatLayer):
            self._floats["head"] = "float"
        self._memory = _prepare(definition)
        self._net = ffi.cast("liam_network *", _from_buffer(self._memory))
        size = ffi.new("size_t *")
        call("scratch", lib.liam_network_scratch_bytes(self._net, size))
        self._scratch_bytes: int = size[0]
        self._row_bytes = self._features * FLOAT_BYTES
        self._scores_row_bytes = self._classes * FLOAT_BYTES
        self._kept_rows = REPLY_BYTES // (LABEL_BYTES + self._scores_row_bytes)
        # Scratch that no call is using. Appending to and popping from a list is atomic, so threads need no
        # lock, and there are never more entries than there were calls at once.
        self._idle: list[_Scratch] = []

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Return the network in a `liam.binary_network` file. The file is not needed afterwards.

        Raises:
            ModelFormatError: the file breaks a rule of the format; the message names it.
            OSError: the file cannot be read.
        """
        return cls(read_binary_network(path))

    @property
    def features(self) -> int:
        """The width of an input row."""
        return self._features

    @property
    def classes(self) -> int:
        """The number of scores of a row."""
        return self._classes

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the network holds, without the scratch of its runs."""
        return self._memory.nbytes

    @property
    def handle(self) -> Any:
        """The prepared network, for C; it lives as long as this object."""
        return self._net

    @property
    def scratch_bytes(self) -> int:
        """Bytes of scratch for one run."""
        return self._scratch_bytes

    def describe(self) -> dict[str, Any]:
        """Return the format, the signature as the Open Inference Protocol has it, the widths, and layers of floats."""
        return {
            "format": FORMAT,
            "format_version": self._format_version,
            "inputs": [{"name": INPUT_NAME, "datatype": "FP32", "shape": [-1, self._features]}],
            "outputs": [
                {"name": LABEL_NAME, "datatype": "INT64", "shape": [-1]},
                {"name": SCORES_NAME, "datatype": "FP32", "shape": [-1, self._classes]},
            ],
            "input_bits": self._input_bits,
            "hidden": list(self._hidden),
            "classes": self._classes,
            **self._floats,
            "nbytes": self.nbytes,
        }

    def run(
        self,
        x: NDArray[np.float32],
        label: NDArray[np.int64] | None = None,
        scores: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return (label, scores) of the rows of `x`, which may be none.

        Args:
            x: float32 (n, features), C-contiguous.
            label: Where to write, int64 (n,), C-contiguous, apart from `x` and `scores`; new if absent.
            scores: Where to write, float32 (n, classes), C-contiguous; new if absent.

        Raises:
            ValueError: an argument is none of these; nothing was written.
        """
        try:
            rows, features = x.shape
            source = _from_buffer(x)  # refuses what is not contiguous
        except (AttributeError, TypeError, ValueError):
            self._refuse_input(x)
        if features != self._features or not isinstance(x, np.ndarray) or x.dtype != _FLOAT32:
            self._refuse_input(x)
        if label is None:
            label = np.empty(rows, _INT64)
        else:
            _check_output("label", label, _INT64, (rows,))
        if scores is None:
            scores = np.empty((rows, self._classes), _FLOAT32)
        else:
            _check_output("scores", scores, _FLOAT32, (rows, self._classes))
        try:
            scratch = self._idle.pop()
        except IndexError:
            scratch = _Scratch(self._scratch_bytes, self._kept_rows, self._classes)
        status = _run(
            self._net,
            source,
            rows,
            _from_buffer(label),
            _from_buffer(scores),
            scratch.memory,
            self._scratch_bytes,
        )
        self._idle.append(scratch)
        if status:
            call("run", status)
        return label, scores

    def _refuse_input(self, x: object) -> NoReturn:
        _refuse("x", x, _FLOAT32, (-1, self._features))

    def run_bytes(self, data: bytes | bytearray | memoryview, rows: int) -> tuple[bytes, bytes]:
        """Return (label, scores) as raw little-endian bytes for `rows` rows of raw little-endian float32.

        The way of a request from the wire: no arrays are made. `data` need not be aligned.

        Raises:
            ValueError: `data` does not hold `rows` rows.
        """
        if type(data) is bytes:
            source, size = data, len(data)  # cffi passes bytes as they are
        else:
            try:
                source, size = _from_buffer(data), memoryview(data).nbytes
            except (TypeError, ValueError, BufferError) as error:
                raise ValueError(f"data: want a contiguous bytes-like object ({error})") from error
        if type(rows) is not int or rows < 0 or size != rows * self._row_bytes:
            raise ValueError(f"data: {size} bytes are not {rows!r} rows of {self._row_bytes} bytes")
        try:
            scratch = self._idle.pop()
        except IndexError:
            scratch = _Scratch(self._scratch_bytes, self._kept_rows, self._classes)
        replies = scratch.replies if rows <= self._kept_rows else _Replies(rows, self._classes)
        status = _run(self._net, source, rows, replies.label, replies.scores, scratch.memory, self._scratch_bytes)
        result = (
            replies.label_bytes[: rows * LABEL_BYTES],
            replies.scores_bytes[: rows * self._scores_row_bytes],
        )
        self._idle.append(scratch)
        if status:
            call("run_bytes", status)
        return result


class _Replies:
    """Memory for the results of some rows, and views of it whose slices are bytes."""

    __slots__ = ("label", "label_bytes", "scores", "scores_bytes")

    def __init__(self, rows: int, classes: int) -> None:
        self.label = ffi.new("int64_t[]", rows)
        self.scores = ffi.new("float[]", rows * classes)
        self.label_bytes = ffi.buffer(self.label)
        self.scores_bytes = ffi.buffer(self.scores)


class _Scratch:
    """What one call works in."""

    __slots__ = ("_array", "memory", "replies")

    def __init__(self, size: int, rows: int, classes: int) -> None:
        self._array = aligned_bytes(size)
        self.memory = _from_buffer(self._array)
        self.replies = _Replies(rows, classes)


def _prepare(definition: NetworkDefinition) -> NDArray[np.uint8]:
    encoding, head = definition.encoding, definition.head
    layers = ffi.new("liam_layer_spec[]", len(definition.hidden))
    spec = ffi.new("liam_network_spec *")
    keep = []  # C structs hold bare addresses

    def address(ctype: str, array: NDArray[Any]) -> Any:
        keep.append(pointer(ctype, np.require(array, requirements=("C", "A"))))
        return keep[-1]

    def float_layer(layer: FloatLayer) -> Any:
        target = ffi.new("liam_float_layer_spec *")
        keep.append(target)
        target.weights = address("float[]", layer.weights)
        target.bias = address("float[]", layer.bias)
        target.weights_stride = target.outputs = len(layer.bias)
        return target

    for target, layer in zip(layers, definition.hidden, strict=True):
        target.weights = address("uint64_t[]", layer.weights)
        target.weights_stride = layer.weights.shape[1]
        target.thresholds = address("int32_t[]", layer.thresholds)
        target.outputs = len(layer.weights)
    spec.features = definition.features
    if definition.input_layer is not None:
        spec.input = float_layer(definition.input_layer)
    spec.input_bits = len(encoding.source)
    spec.source = address("int32_t[]", encoding.source)
    spec.thresholds = address("float[]", encoding.thresholds)
    spec.hidden_layers = len(definition.hidden)
    spec.layers = layers
    if isinstance(head, FloatLayer):
        spec.head = float_layer(head)
    else:
        spec.head_weights = address("uint64_t[]", head.weights)
        spec.head_stride = head.weights.shape[1]
    if isinstance(head, TableHead):
        spec.table = address("float[]", head.table)
    elif isinstance(head, Head):
        spec.scale = address("float[]", head.scale)
        spec.bias = address("float[]", head.bias)
    spec.classes = definition.classes

    size = ffi.new("size_t *")
    _check_status(lib.liam_network_bytes(spec, size))
    memory = aligned_bytes(size[0])
    _check_status(lib.liam_network_prepare(spec, ffi.cast("liam_network *", _from_buffer(memory)), size[0]))
    return memory


def _check_status(status: int) -> None:
    if status != lib.LIAM_OK:
        raise ModelFormatError(f"network: {status_text(status)}")


def _check_output(name: str, array: NDArray[Any], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        _refuse(name, array, dtype, shape)
    if not (array.flags.c_contiguous and array.flags.aligned and array.flags.writeable):
        raise ValueError(f"{name}: want a C-contiguous, aligned, writable array")


def _refuse(name: str, array: object, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NoReturn:
    got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
    raise ValueError(f"{name}: want a C-contiguous {dtype} array of shape {shape}, got {got}")
