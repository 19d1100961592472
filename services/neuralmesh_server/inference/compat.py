"""Triton's words for our errors, for clients and tests that know those and no others. Off unless asked for.

An error keeps its reason and its variables; only text and status change, and ours follows on theirs where it says more.
What Triton is lenient about stays refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh_server.errors import (
    InternalError,
    InvalidArgumentError,
    NeuralMeshError,
    NotFoundError,
    NotSupportedError,
    UnavailableError,
)
from neuralmesh_server.inference import validate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TRITON = "triton"
"""The setting that turns it on, and the name that the server then has."""

_INPUTS = {
    validate.SHAPE: "unexpected shape for input '{input}' for model '{model}'",
    validate.UNKNOWN: "unexpected inference input '{input}' for model '{model}'",
    validate.MISSING: "expected more inputs for model '{model}', missing required input '{input}'",
    validate.TWICE: "input '{input}' already exists in request",
    validate.DATATYPE: "inference input '{input}' data-type is not what model '{model}' expects",
    validate.TYPED_BESIDE_RAW: (
        "contents field must not be specified when using raw_input_contents for '{input}' for model '{model}'"
    ),
    validate.BUFFERS_MISSING: "unable to find data for input tensor '{input}' for model '{model}' in request",
    validate.SIZE: "input byte size mismatch for input '{input}' for model '{model}'",
}
"""What Triton's messages about inputs begin with, by what is wrong."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a failed call asked for: the RPC's name, and model and version as they were given."""

    method: str
    model: str = ""
    version: str = ""


def plain(error: NeuralMeshError, asked: Asked) -> NeuralMeshError:
    """Return an error as it is."""
    del asked
    return error


def triton(error: NeuralMeshError, asked: Asked) -> NeuralMeshError:
    """Return an error in Triton's words and with its status."""
    if asked.method.startswith("Repository"):
        said = _repository(error, asked)
    elif asked.method == "ModelStatistics" and _is_unknown(error):
        said = InvalidArgumentError, f"requested model '{asked.model}' is not available"
    else:
        said = _model(error, asked)
    if said is None:
        return error
    kind, text = said
    return kind(error.reason, text, **error.metadata)


def _is_unknown(error: NeuralMeshError) -> bool:
    """Say whether an error is about a model, version or alias that is not there, or a model that cannot be."""
    return error.reason.endswith("_NOT_FOUND") or (error.reason == "NAME_INVALID" and "model" in error.metadata)


_Said = tuple[type[NeuralMeshError], str]


def _model(error: NeuralMeshError, asked: Asked) -> _Said | None:
    unknown = f"Request for unknown model: '{asked.model}'"
    no_version = f"failed to get model version from specified version string '{asked.version}'"
    match error.reason:
        case "MODEL_NOT_FOUND":
            said: _Said | None = NotFoundError, f"{unknown} is not found"
        case "NAME_INVALID" if "model" in error.metadata:
            said = NotFoundError, f"{unknown} is not found"
        case "VERSION_INVALID" | "ALIAS_NOT_FOUND" | "NAME_INVALID":
            said = InvalidArgumentError, f"{no_version} (details: {error.message})"
        case "VERSION_NOT_FOUND" | "VERSION_NOT_READY" if not asked.version:
            said = NotFoundError, f"{unknown} has no available versions"
        case "VERSION_NOT_FOUND":
            said = NotFoundError, f"{unknown} version {asked.version} is not found"
        case "VERSION_NOT_READY":
            said = UnavailableError, f"{unknown} version {asked.version} is not at ready state"
        case _:
            said = _request(error, asked)
    return said


def _request(error: NeuralMeshError, asked: Asked) -> _Said | None:
    match error.reason:
        case "INPUT_INVALID":
            text = _INPUTS.get(error.metadata.get("problem", ""), "")
            given = text.format(input=error.metadata.get("input", ""), model=asked.model)
            return InvalidArgumentError, f"{given}: {error.message}" if given else error.message
        case "OUTPUT_INVALID" if error.metadata.get("problem") == validate.UNKNOWN:
            output = error.metadata.get("output", "")
            return InvalidArgumentError, f"unexpected inference output '{output}' for model '{asked.model}'"
        case "PARAMETER_INVALID":
            name = error.metadata.get("parameter", "")
            return InvalidArgumentError, f"invalid value type for '{name}' parameter: {error.message}"
        case "QUEUE_FULL":
            return UnavailableError, "Exceeds maximum queue size"
        case "NOT_SERVING":
            return UnavailableError, f"Server not ready: {error.message}"
    return None


def _repository(error: NeuralMeshError, asked: Asked) -> _Said | None:
    what = "load" if asked.method == "RepositoryModelLoad" else "unload"
    match error.reason:
        case "NAME_INVALID":
            return InvalidArgumentError, f"model name must not contain path traversal characters: {error.message}"
        case "MODEL_NOT_FOUND" | "VERSION_NOT_FOUND":
            return InternalError, f"failed to {what} '{asked.model}', failed to poll from model repository"
        case "LOAD_FAILED":
            return InvalidArgumentError, f"load failed for model '{asked.model}': {error.message}"
        case "PARAMETER_INVALID":
            name = error.metadata.get("parameter", "")
            return InvalidArgumentError, f"unrecognized {what} parameter '{name}'"
        case "NOT_SUPPORTED" if error.metadata.get("feature") == "repository_name":
            return NotSupportedError, "'repository_name' specification is not supported"
    return None


class Spoken:
    """A servicer whose errors are put into other words.

    Args:
        servicer: What answers.
        say: Returns the error that the caller gets.
    """

    def __init__(self, servicer: object, say: Callable[[NeuralMeshError, Asked], NeuralMeshError]) -> None:
        self._servicer = servicer
        self._say = say

    def __getattr__(self, name: str) -> Callable[[Any, Any], Awaitable[Any]]:
        method = getattr(self._servicer, name)
        rpc = "".join(part.capitalize() for part in name.split("_"))

        async def spoken(request: Any, call: Any) -> Any:
            try:
                return await method(request, call)
            except NeuralMeshError as error:
                raise self._say(error, _asked(rpc, request)) from None  # it may be the same one

        return spoken


def _asked(rpc: str, request: Any) -> Asked:
    model = (
        getattr(request, "name", "") or getattr(request, "model_name", "") or getattr(request, "repository_name", "")
    )
    return Asked(rpc, model, getattr(request, "version", ""))
