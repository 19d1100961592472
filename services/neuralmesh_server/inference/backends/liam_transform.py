"""Kind `liam.signal_transform`: chains of steps over rows, run by LIAM; see docs/signal-transform.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liam_core import SignalTransform
from neuralmesh_server.inference.backends.liam import open_file, refused, signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.backend import Upstream
    from neuralmesh_server.inference.backends.ending import Ending

KIND = "liam.signal_transform"


class TransformModel:
    """A signal transform; see neuralmesh_server.inference.backends.backend.Model."""

    exact: str = "bits"
    predictable_cost: bool = True
    run_raw: Callable[[bytes | memoryview, int], tuple[bytes, ...]] | None = None
    upstream: Upstream | None = None
    ragged: frozenset[str] = frozenset()

    def __init__(self, transform: SignalTransform) -> None:
        self.signature = signature(transform.describe())
        self._run = transform.run
        self._input = self.signature.inputs[0].name
        self._output = self.signature.outputs[0].name

    def run(self, inputs: Mapping[str, NDArray[Any]], ending: Ending | None = None) -> dict[str, NDArray[Any]]:
        """Return `output`."""
        del ending
        try:
            return {self._output: self._run(inputs[self._input])}
        except ValueError as error:
            raise refused(self._input, error) from error


class TransformBackend:
    """Opens safetensors files of the profile `liam.signal_transform`."""

    def load(self, files: Mapping[str, Path], ending: Ending | None = None) -> TransformModel:
        """Return the chain in the version's one file; the file is not needed afterwards."""
        del ending
        return TransformModel(open_file(KIND, files, SignalTransform.open))
