"""Finds out what executes files that are pushed, and their signature, by opening them as an inference node would.

Nothing of a file is executed beyond what the node's own backends do when they load it: read, check, prepare.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from neuralmesh_server.cli import upstream
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.inference.upstreams.descriptor import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ONNX = "onnx"
LIAM = "liam.binary_network"
INDEX = "liam.binary_index"
TRANSFORM = "liam.signal_transform"
AUTO = "auto"

LABEL_OUTPUT = "label"
"""Output that is compared with true labels unless another is named."""

_LABEL_DATATYPES = frozenset({"INT64", "BYTES"})
_BACKENDS = {
    ONNX: ("onnx", "OnnxBackend"),
    LIAM: ("liam", "LiamBackend"),
    INDEX: ("liam_index", "IndexBackend"),
    TRANSFORM: ("liam_transform", "TransformBackend"),
}
"""Module and class of the backend of each kind whose files can be opened here."""
_HEADER_BYTES = 9
_LARGEST_HEADER = 100_000_000


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """What executes a version, and its signature where the kind has one.

    Attributes:
        kind: Kind of the version.
        inputs: (name, datatype, shape) of each input.
        outputs: (name, datatype, shape) of each output.
    """

    kind: str
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...] = ()
    outputs: tuple[tuple[str, str, tuple[int, ...]], ...] = ()


def inspect(files: Mapping[str, Path], kind: str) -> ModelFormat:
    """Return the format of a version's files.

    Args:
        files: Files by their paths within the version.
        kind: A kind, or "auto" to find it in the content.

    Raises:
        InvalidArgumentError: The content is not of the kind, or no known kind.
        OSError: A file cannot be read.
    """
    if kind == AUTO:
        kind = _guess(files)
    if kind == upstream.KIND:
        upstream.check(files)
    if kind not in _BACKENDS:
        return ModelFormat(kind)
    from neuralmesh_server.inference.backends.backend import LoadError  # noqa: PLC0415 - the runtimes load only when needed

    try:
        signature = _backend(kind).load(files).signature
    except LoadError as error:
        hint = _import_hint(files) or "--kind names another kind, --unchecked pushes it anyway"
        raise InvalidArgumentError("FIELD_INVALID", f"{error}; {hint}", field="files") from error
    return ModelFormat(
        kind,
        tuple((spec.name, spec.datatype, spec.shape) for spec in signature.inputs),
        tuple((spec.name, spec.datatype, spec.shape) for spec in signature.outputs),
    )


def label_output(found: ModelFormat, wanted: str | None) -> str:
    """Return the output with labels: the one wanted, else `label` where it holds one INT64 or BYTES value a row.

    Raises:
        InvalidArgumentError: The output that is wanted does not exist or holds no labels.
    """
    fit = {name for name, datatype, shape in found.outputs if datatype in _LABEL_DATATYPES and len(shape) == 1}
    if wanted is None:
        return LABEL_OUTPUT if LABEL_OUTPUT in fit else ""
    if wanted and wanted not in fit:
        raise InvalidArgumentError(
            "FIELD_INVALID",
            f"label output {wanted!r} is no INT64 or BYTES output of rank 1; there are {sorted(fit)}",
            field="signature.label_output",
        )
    return wanted


def _guess(files: Mapping[str, Path]) -> str:
    if any(name.endswith(".onnx") for name in files):
        return ONNX
    if FILE_NAME in files:
        return upstream.KIND
    if len(files) == 1:
        ((name, path),) = files.items()
        if name.endswith(".safetensors") or _looks_like_safetensors(path):
            return _profile(path)
    raise InvalidArgumentError(
        "FIELD_INVALID",
        f"the kind of {', '.join(sorted(files)[:3])} cannot be told from its content; name it with --kind",
        field="kind",
    )


def _import_hint(files: Mapping[str, Path]) -> str:
    """Return what to do with a model that nothing runs because its operators are QONNX's, or nothing."""
    from neuralmesh_server.inference.backends.onnx_scan import ScanError, scan  # noqa: PLC0415 - as above
    from neuralmesh_server.qonnx import dialect  # noqa: PLC0415

    for name, path in files.items():
        if not name.endswith(".onnx"):
            continue
        try:
            operators = scan(path.read_bytes()).operators
        except ScanError:
            continue
        found = sorted(kind for domain, kind in operators if domain in dialect.DOMAINS or kind in dialect.QONNX)
        if found:
            return f"it is a QONNX model ({', '.join(found)}): `neuralmesh import-qonnx {path}` makes a network of it"
    return ""


def _looks_like_safetensors(path: Path) -> bool:
    """Say whether a file begins like safetensors: the length of a JSON header, then its opening brace."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    return len(head) == _HEADER_BYTES and int.from_bytes(head[:8], "little") < _LARGEST_HEADER and head[8:] == b"{"


def _profile(path: Path) -> str:
    """Return the kind that a safetensors file names; that of networks where it names none, which says what is wrong."""
    from liam_core import ModelFormatError  # noqa: PLC0415 - as above
    from liam_core.storage import format_of  # noqa: PLC0415

    try:
        found = format_of(path)
    except ModelFormatError:
        return LIAM
    return found if found in {INDEX, TRANSFORM} else LIAM


def _backend(kind: str) -> Any:
    module, name = _BACKENDS[kind]
    return getattr(import_module(f"neuralmesh_server.inference.backends.{module}"), name)()
