"""Kind `liam.binary_network`: packed binary networks, run by LIAM in one C call a request.

What all kinds that LIAM runs have in common stands here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from liam_core import BinaryNetwork, ModelFormatError, capabilities
from liam_core.oip import Runner
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.backend import Upstream
    from neuralmesh_server.inference.backends.ending import Ending

KIND = "liam.binary_network"

T = TypeVar("T")


def runtime() -> str:
    """Return what runs versions of this kind here; the bits do not depend on it."""
    found = capabilities()
    return f"liam {found.level} {found.self_test_digest}"


class LiamModel:
    """A binary network; see neuralmesh_server.inference.backends.backend.Model.

    Attributes:
        native: What runs it without the interpreter.
    """

    exact: str = "bits"
    predictable_cost: bool = True
    run_raw: Callable[[bytes | memoryview, int], tuple[bytes, ...]] | None
    upstream: Upstream | None = None
    ragged: frozenset[str] = frozenset()

    def __init__(self, network: BinaryNetwork) -> None:
        self.native = Runner.of_network(network)
        self.signature = signature(network.describe())
        self.run_raw = network.run_bytes
        self._run = network.run
        self._input = self.signature.inputs[0].name
        self._outputs = [spec.name for spec in self.signature.outputs]

    def run(self, inputs: Mapping[str, NDArray[np.float32]], ending: Ending | None = None) -> dict[str, NDArray[Any]]:
        """Return `label` and `scores`."""
        del ending
        return dict(zip(self._outputs, self._run(inputs[self._input]), strict=True))


class LiamBackend:
    """Opens safetensors files of the profile `liam.binary_network`."""

    def load(self, files: Mapping[str, Path], ending: Ending | None = None) -> LiamModel:
        """Return the network in the version's one file; the file is not needed afterwards."""
        del ending
        return LiamModel(open_file(KIND, files, BinaryNetwork.open))


def open_file(kind: str, files: Mapping[str, Path], read: Callable[[Path], T]) -> T:
    """Return what is in a version's one file; raises LoadError."""
    if len(files) != 1:
        raise LoadError(f"a version of kind {kind} has one file, this one has {len(files)}")
    ((name, path),) = files.items()
    try:
        return read(path)
    except ModelFormatError as error:
        raise LoadError(f"{name} is no valid {kind} file: {error}") from error


def signature(said: Mapping[str, Any]) -> Signature:
    """Return the signature in what a model of LIAM says of itself."""
    return Signature(_specs(said["inputs"]), _specs(said["outputs"]))


def refused(name: str, error: ValueError) -> InvalidArgumentError:
    """Return the error of a request whose only input, of the right type and shape, a model of LIAM refuses."""
    why = str(error).removeprefix("x: ")
    return InvalidArgumentError("INPUT_INVALID", f"input {name!r} cannot be run: {why}", input=name)


def _specs(items: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(item["name"], item["datatype"], tuple(item["shape"])) for item in items)
