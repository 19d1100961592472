"""Opens versions for actions: from files that were verified, by the backends of the inference service, and proven.

A backend is imported with the first version of its kind, so that a process starts with what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.errors import FailedPreconditionError, NotSupportedError
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.evidence import golden
from neuralmesh_server.numerics import EXACT, numerics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuralmesh_server.inference.backends.backend import Backend, Model
    from neuralmesh_server.labor.plan import VersionPin

LABEL = "label"
"""The output that holds labels, unless a version has only one that could."""

_LABEL_DATATYPES = ("INT64", "BYTES")
_PROBABILITIES = ("BF16", "FP16", "FP32", "FP64")


def check_numerics(pin: VersionPin) -> None:
    """Hold what computes a version here against what its plan says.

    Raises:
        FailedPreconditionError: NUMERICS_MISMATCH.
        NotSupportedError: NOT_SUPPORTED.
    """
    here = numerics(pin.kind)
    if here != pin.numerics:
        raise FailedPreconditionError(
            "NUMERICS_MISMATCH",
            f"{pin.model}/{pin.version} is planned for {pin.numerics.id!r}; here {here.id!r} would compute it",
            planned=pin.numerics.id,
            here=here.id,
        )


def open_version(pin: VersionPin, files: Mapping[str, Path]) -> Model:
    """Return a version that is ready to run; it has given the answers that its golden set expects.

    Raises:
        FailedPreconditionError: LOAD_FAILED, NUMERICS_MISMATCH.
        NotSupportedError: NOT_SUPPORTED: its results could not be the same twice.
    """
    check_numerics(pin)
    own, expected = golden.split(files)
    try:
        model = _backend(pin.kind).load(own)
        if expected is not None:
            golden.verify(model, model.signature, expected)
    except LoadError as error:
        why = f"{pin.model}/{pin.version} cannot be run: {error}"
        raise FailedPreconditionError("LOAD_FAILED", why, model=pin.model, version=pin.version) from error
    assert model.exact == "bits" or pin.numerics.level != EXACT, "a kind promises this for all of its versions"
    if model.exact == "unverified":
        why = f"{pin.model}/{pin.version} draws random numbers: its results would differ from run to run"
        raise NotSupportedError("NOT_SUPPORTED", why, model=pin.model, version=pin.version)
    return model


def label_output(model: Model) -> str:
    """Return the name of the output that holds labels, empty where none does or several might."""
    able = [
        spec.name for spec in model.signature.outputs if spec.datatype in _LABEL_DATATYPES and _is_column(spec.shape)
    ]
    if LABEL in able:
        return LABEL
    return able[0] if len(able) == 1 else ""


def probability_output(model: Model) -> str:
    """Return the name of the one output that holds a number for each class, which may be probabilities; else empty."""
    able = [
        spec.name
        for spec in model.signature.outputs
        if spec.datatype in _PROBABILITIES and len(spec.shape) == 2 and spec.shape[1] != 1
    ]
    return able[0] if len(able) == 1 else ""


def _is_column(shape: tuple[int, ...]) -> bool:
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def _backend(kind: str) -> Backend:
    if kind == "liam.binary_network":
        from neuralmesh_server.inference.backends.liam import LiamBackend  # noqa: PLC0415 - see above

        return LiamBackend()
    if kind == "liam.binary_index":
        from neuralmesh_server.inference.backends.liam_index import IndexBackend  # noqa: PLC0415 - see above

        return IndexBackend()
    if kind == "liam.signal_transform":
        from neuralmesh_server.inference.backends.liam_transform import TransformBackend  # noqa: PLC0415 - see above

        return TransformBackend()
    if kind == "onnx":
        from neuralmesh_server.inference.backends.onnx import OnnxBackend  # noqa: PLC0415 - see above

        return OnnxBackend()
    raise NotSupportedError("NOT_SUPPORTED", f"versions of kind {kind!r} cannot be run by jobs", feature=kind)
