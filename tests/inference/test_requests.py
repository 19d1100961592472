"""Every way in which a request can be wrong, and the error that it gets."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh import oip
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference import convert
from neuralmesh_server.inference import inputs as reading
from neuralmesh_server.inference.backends.backend import Model
from neuralmesh_server.inference.backends.execution import Execution
from neuralmesh_server.inference.reporting.activity import VersionActivity
from neuralmesh_server.inference.serving import LoadedModel
from neuralmesh_server.inference.tensors import Signature, TensorSpec
from neuralmesh_server.runtime.status import code_of, to_status


class Echo:
    """A model that answers what it got."""

    exact = "bits"
    predictable_cost = True
    run_raw = None
    ragged: frozenset[str] = frozenset()
    upstream = None

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    def run(self, inputs: dict[str, np.ndarray], ending: object = None) -> dict[str, np.ndarray]:
        """Return the inputs as outputs."""
        del ending
        return {spec.name: array for spec, array in zip(self.signature.outputs, inputs.values(), strict=True)}


def loaded(runner: Model) -> LoadedModel:
    """Return a version around a model."""
    return LoadedModel(
        model="m", version=3, uid=1, digest="sha256:" + "0" * 64, kind="echo", signature=runner.signature,
        runner=runner, size_bytes=0, base_ns=0, row_ns=0, label_index=-1,
        activity=VersionActivity("m", 3, ""), run_raw=runner.run_raw,
    )  # fmt: skip


def echo(datatype: str, *names: str) -> LoadedModel:
    """Return a version with inputs of shape [-1, 2] and as many outputs."""
    inputs = tuple(TensorSpec(name, datatype, (-1, 2)) for name in names)
    return loaded(Echo(Signature(inputs, tuple(TensorSpec(f"out-{name}", datatype, (-1, 2)) for name in names))))


def request(*inputs: dict[str, Any], raw: tuple[bytes, ...] = (), **fields: Any) -> Any:
    """Return a request as it arrives."""
    message = oip.ModelInferRequest(model_name="m", inputs=inputs, raw_input_contents=raw, **fields)
    return convert.read_request(message.SerializeToString())


def tensor(name: str = "x", datatype: str = "FP32", shape: tuple[int, ...] = (1, 2), **fields: Any) -> dict[str, Any]:
    """Return an input."""
    return {"name": name, "datatype": datatype, "shape": shape, **fields}


X = bytes(8)
INT32_MIN = -(2**31)

INPUT_FAULTS: dict[str, tuple[str, Any, str, str]] = {
    "unknown": ("FP32", request(tensor(), tensor("y"), raw=(X, X)), "y", "is unknown"),
    "missing": ("FP32", request(), "x", "is missing"),
    "duplicate": ("FP32", request(tensor(), tensor(), raw=(X, X)), "x", "given twice"),
    "wrong-datatype": ("FP32", request(tensor(datatype="FP64"), raw=(bytes(16),)), "x", "instead of FP32"),
    "no-datatype": ("FP32", request(tensor(datatype="float"), raw=(X,)), "x", "which is no datatype"),
    "rank-low": ("FP32", request(tensor(shape=(2,)), raw=(X,)), "x", "has 1 dimensions"),
    "rank-high": ("FP32", request(tensor(shape=(1, 1, 2)), raw=(X,)), "x", "has 3 dimensions"),
    "shape": ("FP32", request(tensor(shape=(1, 3)), raw=(bytes(12),)), "x", "does not fit"),
    "negative": ("FP32", request(tensor(shape=(-1, 2)), raw=(X,)), "x", "negative dimension -1"),
    "overflow": ("FP32", request(tensor(shape=(2**62, 2)), raw=(X,)), "x", "overflows 64 bits"),
    "too-few-bytes": ("FP32", request(tensor(), raw=(bytes(7),)), "x", "has 7 bytes instead of 8"),
    "too-many-bytes": ("FP32", request(tensor(), raw=(bytes(9),)), "x", "has 9 bytes instead of 8"),
    "raw-and-typed": (
        "FP32",
        request(tensor(contents={"fp32_contents": [1, 2]}), raw=(X,)),
        "x",
        "typed contents beside raw",
    ),
    "surplus-raw": ("FP32", request(tensor(), raw=(X, X)), "x", "2 raw buffers"),
    "wrong-field": ("FP32", request(tensor(contents={"fp64_contents": [1, 2]})), "x", "has fp64_contents"),
    "two-fields": (
        "FP32",
        request(tensor(contents={"fp32_contents": [1, 2], "int_contents": [1]})),
        "x",
        "has int_contents instead",
    ),
    "no-contents": ("FP32", request(tensor()), "x", "has 0 elements instead of 2"),
    "too-many-elements": ("FP32", request(tensor(contents={"fp32_contents": [1, 2, 3]})), "x", "has 3 elements"),
    "fp16-typed": (
        "FP16",
        request(tensor(datatype="FP16", contents={"fp32_contents": [1, 2]})),
        "x",
        "no typed contents",
    ),
    "int8-high": ("INT8", request(tensor(datatype="INT8", contents={"int_contents": [0, 128]})), "x", "element 128"),
    "int8-low": ("INT8", request(tensor(datatype="INT8", contents={"int_contents": [-129, 0]})), "x", "element -129"),
    "int16": ("INT16", request(tensor(datatype="INT16", contents={"int_contents": [0, 32768]})), "x", "32768"),
    "uint8": ("UINT8", request(tensor(datatype="UINT8", contents={"uint_contents": [256, 0]})), "x", "element 256"),
    "uint16": ("UINT16", request(tensor(datatype="UINT16", contents={"uint_contents": [0, 65536]})), "x", "65536"),
    "bool-byte": ("BOOL", request(tensor(datatype="BOOL"), raw=(b"\1\2",)), "x", "byte 2 for a BOOL"),
    "bytes-cut-in-length": (
        "BYTES",
        request(tensor(datatype="BYTES"), raw=(b"\5\0\0\0hello\1\0",)),
        "x",
        "ends within the length",
    ),
    "bytes-cut-in-element": (
        "BYTES",
        request(tensor(datatype="BYTES"), raw=(b"\1\0\0\0a\2\0\0\0b",)),
        "x",
        "ends within BYTES element 1",
    ),
    "bytes-surplus": (
        "BYTES",
        request(tensor(datatype="BYTES"), raw=(b"\1\0\0\0a\1\0\0\0bc",)),
        "x",
        "1 bytes after",
    ),
    "bytes-huge-count": ("BYTES", request(tensor(datatype="BYTES", shape=(2**40, 2)), raw=(X,)), "x", "too few"),
}


@pytest.mark.parametrize("fault", sorted(INPUT_FAULTS))
def test_a_wrong_input_is_named(fault: str) -> None:
    """A wrong input is INVALID_ARGUMENT with INPUT_INVALID, its name in the metadata, and a message that says why."""
    datatype, message, name, why = INPUT_FAULTS[fault]
    with pytest.raises(NeuralMeshError) as failure:
        reading.read(echo(datatype, "x"), message)
    assert code_of(failure.value) is StatusCode.INVALID_ARGUMENT
    assert failure.value.reason == "INPUT_INVALID"
    assert failure.value.metadata == {"input": name, "problem": failure.value.metadata["problem"]}
    assert why in failure.value.message


def test_the_raw_way_checks_the_byte_count() -> None:
    """A version that takes raw elements refuses a wrong count before it runs."""
    version = loaded(Echo(Signature((TensorSpec("x", "FP32", (-1, 2)),), ())))
    from dataclasses import replace

    version = replace(version, run_raw=lambda *_: ())
    with pytest.raises(NeuralMeshError, match="has 7 bytes instead of 8"):
        reading.read(version, request(tensor(), raw=(bytes(7),)))
    inputs = reading.read(version, request(tensor(shape=(3, 2)), raw=(bytes(24),)))
    assert (inputs.rows, inputs.raw, inputs.arrays) == (3, bytes(24), {})


def test_a_missing_raw_buffer_names_the_input_without_one() -> None:
    """With fewer buffers than inputs, the first input without a buffer is named."""
    with pytest.raises(NeuralMeshError, match="1 raw buffers for 2 inputs") as failure:
        reading.read(echo("FP32", "x", "y"), request(tensor(), tensor("y"), raw=(X,)))
    assert failure.value.metadata == {"input": "y", "problem": "buffers missing"}


@pytest.mark.parametrize(
    ("outputs", "why"),
    [([{"name": "nope"}], "is unknown"), ([{"name": "out-x"}, {"name": "out-x"}], "is requested twice")],
)
def test_a_wrong_output_is_named(outputs: list[dict[str, str]], why: str) -> None:
    """An unknown or repeated output is OUTPUT_INVALID and named."""
    with pytest.raises(NeuralMeshError, match=why) as failure:
        reading.read(echo("FP32", "x"), request(tensor(), raw=(X,), outputs=outputs))
    facts = {"output": outputs[-1]["name"], "problem": why.removeprefix("is ")}
    assert (failure.value.reason, failure.value.metadata) == ("OUTPUT_INVALID", facts)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sequence_id", {"int64_param": 1}),
        ("priority", {"int64_param": -1}),
        ("timeout", {"string_param": "soon"}),
        ("triton_secret", {"bool_param": True}),
        ("empty", {}),
    ],
)
def test_a_parameter_that_cannot_be_honoured_is_named(name: str, value: dict[str, Any]) -> None:
    """A reserved parameter of the wrong kind, or one without a value, is PARAMETER_INVALID and named."""
    with pytest.raises(NeuralMeshError) as failure:
        reading.read(echo("FP32", "x"), request(tensor(), raw=(X,), parameters={name: value}))
    assert (failure.value.reason, failure.value.metadata) == ("PARAMETER_INVALID", {"parameter": name})


GOOD = oip.ModelInferRequest(
    model_name="m",
    id="1",
    parameters={"priority": {"int64_param": 1}},
    inputs=[tensor(), tensor("y", contents={"fp32_contents": [1, 2]})],
    outputs=[{"name": "out-y"}],
    raw_input_contents=[X],
).SerializeToString()


@given(st.data())
def test_a_damaged_request_is_read_or_refused(data: st.DataObject) -> None:
    """Whatever bytes of a request are changed, cut or doubled, only domain errors come out."""
    position = data.draw(st.integers(0, len(GOOD) - 1))
    end = data.draw(st.integers(position, len(GOOD)))
    damaged = GOOD[:position] + data.draw(st.binary(max_size=4)) + GOOD[end:]
    for version in (echo("FP32", "x", "y"), echo("BYTES", "x"), echo("FP32", "x")):
        with contextlib.suppress(NeuralMeshError):
            inputs = reading.read(version, convert.read_request(damaged))
            assert sum(array.nbytes for array in inputs.arrays.values()) < 1000


def test_a_tensor_in_shared_memory_is_refused() -> None:
    """A parameter of an input that this server does not know is named, not ignored."""
    message = request(tensor(parameters={"shared_memory_region": {"string_param": "r"}}), raw=(X,))
    with pytest.raises(NeuralMeshError, match="shared_memory_region"):
        reading.read(echo("FP32", "x"), message)


def test_parameters_of_the_caller_are_left_alone() -> None:
    """Unknown parameters of a request, priority and timeout pass."""
    parameters = {"user": {"string_param": "a"}, "priority": {"uint64_param": 1}, "timeout": {"int64_param": 5}}
    inputs = reading.read(echo("FP32", "x"), request(tensor(), raw=(X,), parameters=parameters))
    assert inputs.rows == 1


def test_inputs_may_come_in_any_order() -> None:
    """Buffers belong to the inputs of the request, whatever the signature's order."""
    message = request(tensor("y"), tensor("x"), raw=(b"\1" * 8, b"\2" * 8))
    inputs = reading.read(echo("FP32", "x", "y"), message)
    assert inputs.arrays["x"].tobytes() == b"\2" * 8
    assert inputs.arrays["y"].tobytes() == b"\1" * 8


async def test_an_answer_is_raw_in_the_order_asked_for() -> None:
    """An answer echoes the id, resolves the version, carries its three parameters and the outputs in order."""
    version = echo("BYTES", "x", "y")
    message = request(
        tensor("x", "BYTES", contents={"bytes_contents": [b"a", b""]}),
        tensor("y", "BYTES", contents={"bytes_contents": [b"cc", b"d"]}),
        id="7",
        outputs=[{"name": "out-y"}, {"name": "out-x"}],
    )
    inputs = reading.read(version, message)
    with ThreadPoolExecutor(1) as threads:
        outputs = await Execution(threads).run(version, inputs.rows, inputs.raw, inputs.arrays)
    parameters = {"prediction_id": "nm1.x", "digest": version.digest, "node": "edge"}
    data = convert.write_answer(version, message.id, [outputs[place] for place in inputs.wanted], parameters)
    answer = oip.ModelInferResponse.FromString(data)
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "7")
    assert {key: value.string_param for key, value in answer.parameters.items()} == parameters
    assert [output.name for output in answer.outputs] == ["out-y", "out-x"]
    assert list(answer.raw_output_contents) == [b"\2\0\0\0cc\1\0\0\0d", b"\1\0\0\0a\0\0\0\0"]


def test_hostile_names_fit_into_a_status() -> None:
    """A name of a megabyte comes back shortened, so that the status fits into trailing metadata."""
    with pytest.raises(NeuralMeshError) as failure:
        reading.read(echo("FP32", "x"), request(tensor("n" * 2**20), raw=(X,)))
    status = to_status(failure.value)
    assert sum(len(key) + len(value) for key, value in status.trailing_metadata) + len(status.details) < 8000


def test_bytes_that_are_no_request_are_the_callers_error() -> None:
    """Bytes that protobuf cannot read are REQUEST_MALFORMED."""
    with pytest.raises(NeuralMeshError) as failure:
        convert.read_request(b"\xff\xff\xff")
    assert failure.value.reason == "REQUEST_MALFORMED"
