"""The golden set of `neuralmesh push`: found among the files or named, and read before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "golden.npz"
"""Its path within a version."""


def taken(files: dict[str, Any], named: Path | None) -> Path | None:
    """Take the golden set out of a version's files, or else return the one that an option names; None for none.

    Raises:
        InvalidArgumentError: There are both.
    """
    found: Path | None = files.pop(FILE, None)
    if found is not None and named is not None:
        raise InvalidArgumentError(
            "FIELD_INVALID", f"the files hold {FILE} already; --golden would be a second one", field="golden"
        )
    return found or named


def check(path: Path, signature: Any) -> None:
    """Read a golden set as an inference node would; raises FIELD_INVALID when it does not fit the signature."""
    from neuralmesh_server.inference.backends.backend import LoadError  # noqa: PLC0415
    from neuralmesh_server.inference.evidence import golden  # noqa: PLC0415 - what a push without one does not need
    from neuralmesh_server.inference.tensors import Signature, TensorSpec  # noqa: PLC0415

    def specs(messages: Any) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(spec.name, spec.datatype, tuple(spec.shape)) for spec in messages)

    if signature is None:
        raise InvalidArgumentError(
            "FIELD_INVALID", "a golden set needs a version that declares its signature", field="golden"
        )
    try:
        golden.read(path, Signature(specs(signature.inputs), specs(signature.outputs)))
    except LoadError as error:
        raise InvalidArgumentError("FIELD_INVALID", f"{path}: {error}", field="golden") from error
