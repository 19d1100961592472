"""What asks to load or unload a model, in either dialect of the protocol.

KServe's `model_name` has the number of Triton's `repository_name`, so a name in field 1 alone is the model's.
"""

from __future__ import annotations

from typing import Any

from neuralmesh_server.errors import InvalidArgumentError, NotSupportedError

UNLOAD_DEPENDENTS = "unload_dependents"
_FILES = "file:"


def loaded_model(request: Any) -> str:
    """Return the model that a RepositoryModelLoadRequest names.

    Raises:
        NotSupportedError: NOT_SUPPORTED: it names a repository, or brings a configuration or files.
        InvalidArgumentError: PARAMETER_INVALID.
    """
    for name in sorted(request.parameters):
        if name == "config" or name.startswith(_FILES):
            raise NotSupportedError(
                "NOT_SUPPORTED",
                f"parameter {name[:128]!r}: versions come from the registry, not with the call; push one instead",
                feature=name[:128],
            )
        raise _unknown(name, "load")
    return _model(request)


def unloaded_model(request: Any) -> str:
    """Return the model that a RepositoryModelUnloadRequest names; raises as `loaded_model` does."""
    for name, value in sorted(request.parameters.items()):
        if name != UNLOAD_DEPENDENTS:
            raise _unknown(name, "unload")
        if value.WhichOneof("parameter_choice") != "bool_param":
            raise InvalidArgumentError("PARAMETER_INVALID", f"parameter {name!r} is no boolean", parameter=name)
    return _model(request)


def _model(request: Any) -> str:
    if request.model_name and request.repository_name:
        raise NotSupportedError(
            "NOT_SUPPORTED", "repository_name must be empty: this server has one repository", feature="repository_name"
        )
    return str(request.model_name or request.repository_name)


def _unknown(name: str, what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "PARAMETER_INVALID", f"parameter {name[:128]!r} is no {what} parameter", parameter=name[:128]
    )
