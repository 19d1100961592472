"""Every way in which a call fails, as a table: one condition a row.

The rows follow the table of status codes that Triton's clients rely on. Ours are stricter where Triton lets wrong
requests pass, and say UNAVAILABLE only where a retry may help.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuralmesh import oip

ROWS = np.random.default_rng(3).random((2, 64), dtype=np.float32)
UNKNOWN = "Request for unknown model: "
REFUSED_NAME = ("INVALID_ARGUMENT", "NAME_INVALID", "requested model '../x' is not available")


def nothing(request: Any) -> None:
    """Change nothing."""
    del request


def infer(change: Callable[[Any], None] = nothing, **fields: object) -> Any:
    """Return a good request, changed."""
    request = oip.ModelInferRequest(**{"model_name": "digits", "model_version": "1", **fields})
    request.inputs.add(name="input", datatype="FP32", shape=ROWS.shape)
    request.raw_input_contents.append(ROWS.tobytes())
    change(request)
    return request


def typed(request: Any) -> None:
    """Use typed contents."""
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp32_contents.extend(ROWS.ravel().tolist())


def ints(request: Any) -> None:
    """Use the typed field of another datatype."""
    del request.raw_input_contents[:]
    request.inputs[0].contents.int64_contents.extend([1] * ROWS.size)


def both(request: Any) -> None:
    """Use raw and typed contents."""
    request.inputs[0].contents.fp32_contents.extend(ROWS.ravel().tolist())


def set_input(**fields: object) -> Callable[[Any], None]:
    """Return what changes the input."""

    def change(request: Any) -> None:
        for name, value in fields.items():
            if name == "shape":
                request.inputs[0].shape[:] = value
            else:
                setattr(request.inputs[0], name, value)

    return change


@dataclass(frozen=True)
class Row:
    """One condition.

    Attributes:
        code: Our status, and `reason` our reason.
        triton: Triton's status where it differs, and `text` what its message begins with.
    """

    name: str
    method: str
    request: Any
    code: str
    reason: str
    text: str = ""
    triton: str = ""


def parameter(**kinds: object) -> Any:
    """Return a request with the parameter `priority` or another one."""
    return infer(parameters=kinds)


TABLE = [
    Row("no-number", "ModelInfer", infer(model_version="1abc"), "INVALID_ARGUMENT", "VERSION_INVALID", "failed to get"),
    Row("negative", "ModelInfer", infer(model_version="-1"), "INVALID_ARGUMENT", "VERSION_INVALID", "failed to get"),
    Row("spaced", "ModelInfer", infer(model_version=" 1"), "INVALID_ARGUMENT", "VERSION_INVALID", "failed to get"),
    Row("zero", "ModelInfer", infer(model_version="0"), "INVALID_ARGUMENT", "VERSION_INVALID", "failed to get"),
    Row(
        "no-alias",
        "ModelInfer",
        infer(model_version="nope"),
        "NOT_FOUND",
        "ALIAS_NOT_FOUND",
        "failed to get",
        triton="INVALID_ARGUMENT",
    ),
    Row(
        "unknown-model",
        "ModelInfer",
        infer(model_name="x"),
        "NOT_FOUND",
        "MODEL_NOT_FOUND",
        f"{UNKNOWN}'x' is not found",
    ),
    Row(
        "wrong-name",
        "ModelInfer",
        infer(model_name="../x"),
        "INVALID_ARGUMENT",
        "NAME_INVALID",
        f"{UNKNOWN}'../x' is not found",
        triton="NOT_FOUND",
    ),
    Row(
        "unknown-version",
        "ModelInfer",
        infer(model_version="9"),
        "NOT_FOUND",
        "VERSION_NOT_FOUND",
        f"{UNKNOWN}'digits' version 9 is not found",
    ),
    Row(
        "failed-version",
        "ModelInfer",
        infer(model_version="2"),
        "UNAVAILABLE",
        "VERSION_NOT_READY",
        f"{UNKNOWN}'digits' version 2 is not at ready state",
    ),
    Row(
        "none-ready",
        "ModelInfer",
        infer(model_name="broken", model_version=""),
        "UNAVAILABLE",
        "VERSION_NOT_READY",
        f"{UNKNOWN}'broken' has no available versions",
        triton="NOT_FOUND",
    ),
    Row(
        "metadata-failed",
        "ModelMetadata",
        oip.ModelMetadataRequest(name="digits", version="2"),
        "UNAVAILABLE",
        "VERSION_NOT_READY",
        f"{UNKNOWN}'digits' version 2 is not at ready state",
    ),
    Row(
        "metadata-unknown",
        "ModelMetadata",
        oip.ModelMetadataRequest(name="x"),
        "NOT_FOUND",
        "MODEL_NOT_FOUND",
        f"{UNKNOWN}'x' is not found",
    ),
    Row(
        "config-unknown",
        "ModelConfig",
        oip.ModelConfigRequest(name="x"),
        "NOT_FOUND",
        "MODEL_NOT_FOUND",
        f"{UNKNOWN}'x' is not found",
    ),
    Row(
        "config-failed",
        "ModelConfig",
        oip.ModelConfigRequest(name="digits", version="2"),
        "UNAVAILABLE",
        "VERSION_NOT_READY",
        f"{UNKNOWN}'digits' version 2 is not at ready state",
    ),
    Row(
        "unknown-input",
        "ModelInfer",
        infer(set_input(name="x")),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "unexpected inference input 'x' for model 'digits'",
    ),
    Row(
        "unknown-input-of-our-words",
        "ModelInfer",
        infer(set_input(name="in its shape")),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "unexpected inference input 'in its shape' for model 'digits'",
    ),
    Row(
        "datatype-of-our-words",
        "ModelInfer",
        infer(set_input(datatype="has the shape")),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "inference input 'input' data-type is",
    ),
    Row(
        "no-input",
        "ModelInfer",
        oip.ModelInferRequest(model_name="digits", model_version="1"),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "expected more inputs",
    ),
    Row(
        "twice",
        "ModelInfer",
        infer(lambda request: (request.inputs.append(request.inputs[0]), request.raw_input_contents.append(b""))),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "input 'input' already exists in request",
    ),
    Row(
        "datatype",
        "ModelInfer",
        infer(set_input(datatype="FP64")),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "inference input 'input' data-type is",
    ),
    Row(
        "no-datatype",
        "ModelInfer",
        infer(set_input(datatype="FLOAT")),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "inference input 'input' data-type is",
    ),
    Row(
        "shape",
        "ModelInfer",
        infer(set_input(shape=[2, 63])),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "unexpected shape for input 'input' for model 'digits'",
    ),
    Row(
        "rank",
        "ModelInfer",
        infer(set_input(shape=[128])),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "unexpected shape for input 'input' for model 'digits'",
    ),
    Row(
        "negative-dimension",
        "ModelInfer",
        infer(set_input(shape=[-2, 64])),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "unexpected shape for input",
    ),
    Row(
        "overflow",
        "ModelInfer",
        infer(set_input(shape=[2**62, 64])),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "unexpected shape for input",
    ),
    Row(
        "bytes",
        "ModelInfer",
        infer(set_input(shape=[3, 64])),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "input byte size mismatch for input 'input' for model 'digits'",
    ),
    Row(
        "surplus-buffer",
        "ModelInfer",
        infer(lambda request: request.raw_input_contents.append(b"")),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
    ),
    Row(
        "missing-buffer",
        "ModelInfer",
        infer(lambda request: request.inputs.append(oip.ModelInferRequest.InferInputTensor(name="other"))),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "unexpected inference input 'other'",
    ),
    Row(
        "raw-and-typed",
        "ModelInfer",
        infer(both),
        "INVALID_ARGUMENT",
        "INPUT_INVALID",
        "contents field must not be specified when using raw_input_contents for 'input'",
    ),
    Row("wrong-typed-field", "ModelInfer", infer(ints), "INVALID_ARGUMENT", "INPUT_INVALID"),
    Row(
        "unknown-output",
        "ModelInfer",
        infer(outputs=[{"name": "x"}]),
        "INVALID_ARGUMENT",
        "OUTPUT_INVALID",
        "unexpected inference output 'x' for model 'digits'",
    ),
    Row(
        "output-twice",
        "ModelInfer",
        infer(outputs=[{"name": "label"}, {"name": "label"}]),
        "INVALID_ARGUMENT",
        "OUTPUT_INVALID",
    ),
    Row(
        "parameter-type",
        "ModelInfer",
        parameter(priority={"string_param": "high"}),
        "INVALID_ARGUMENT",
        "PARAMETER_INVALID",
        "invalid value type for 'priority' parameter",
    ),
    Row(
        "unknown-triton-key",
        "ModelInfer",
        parameter(triton_x={"bool_param": True}),
        "INVALID_ARGUMENT",
        "PARAMETER_INVALID",
    ),
    Row("sequence", "ModelInfer", parameter(sequence_id={"int64_param": 1}), "INVALID_ARGUMENT", "PARAMETER_INVALID"),
    Row("no-message", "ModelInfer", b"\xff\xff\xff", "INVALID_ARGUMENT", "REQUEST_MALFORMED"),
    Row("cut-message", "ModelInfer", infer().SerializeToString()[:-7], "INVALID_ARGUMENT", "REQUEST_MALFORMED"),
    Row(
        "statistics",
        "ModelStatistics",
        oip.ModelStatisticsRequest(name="x"),
        "NOT_FOUND",
        "MODEL_NOT_FOUND",
        "requested model 'x' is not available",
        triton="INVALID_ARGUMENT",
    ),
    Row("statistics-name", "ModelStatistics", oip.ModelStatisticsRequest(name="../x"), *REFUSED_NAME),
    Row(
        "statistics-version",
        "ModelStatistics",
        oip.ModelStatisticsRequest(name="digits", version="9"),
        "NOT_FOUND",
        "VERSION_NOT_FOUND",
        "requested model 'digits' is not available",
        triton="INVALID_ARGUMENT",
    ),
    Row(
        "load-unknown",
        "RepositoryModelLoad",
        oip.RepositoryModelLoadRequest(model_name="x"),
        "NOT_FOUND",
        "MODEL_NOT_FOUND",
        "failed to load 'x', failed to poll from model repository",
        triton="INTERNAL",
    ),
    Row(
        "load-fails",
        "RepositoryModelLoad",
        oip.RepositoryModelLoadRequest(model_name="broken"),
        "FAILED_PRECONDITION",
        "LOAD_FAILED",
        "load failed for model 'broken'",
        triton="INVALID_ARGUMENT",
    ),
    Row(
        "load-name",
        "RepositoryModelLoad",
        oip.RepositoryModelLoadRequest(model_name="../x"),
        "INVALID_ARGUMENT",
        "NAME_INVALID",
        "model name must not contain path traversal characters",
    ),
    Row(
        "load-parameter",
        "RepositoryModelLoad",
        oip.RepositoryModelLoadRequest(model_name="digits", parameters={"x": {"bool_param": True}}),
        "INVALID_ARGUMENT",
        "PARAMETER_INVALID",
        "unrecognized load parameter",
    ),
    Row(
        "repository",
        "RepositoryModelLoad",
        oip.RepositoryModelLoadRequest(model_name="digits", repository_name="r"),
        "UNIMPLEMENTED",
        "NOT_SUPPORTED",
        "'repository_name' specification is not supported",
    ),
    Row(
        "index",
        "RepositoryIndex",
        oip.RepositoryIndexRequest(repository_name="r"),
        "UNIMPLEMENTED",
        "NOT_SUPPORTED",
        "'repository_name' specification is not supported",
    ),
]
