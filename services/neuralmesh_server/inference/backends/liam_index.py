"""Kind `liam.binary_index`: packed codes with ids, searched by LIAM; see docs/binary-index.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liam_core import BinaryIndex
from liam_core.index import StoppedError
from liam_core.oip import Runner
from neuralmesh_server.inference.backends.ending import EndedError
from neuralmesh_server.inference.backends.liam import open_file, refused, signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.backend import Upstream
    from neuralmesh_server.inference.backends.ending import Ending

KIND = "liam.binary_index"


class IndexModel:
    """A binary index; see neuralmesh_server.inference.backends.backend.Model.

    Attributes:
        native: What runs it without the interpreter; None for one with a radius or rescoring.
    """

    exact: str = "bits"
    predictable_cost: bool
    run_raw: Callable[[bytes | memoryview, int], tuple[bytes, ...]] | None = None
    upstream: Upstream | None = None
    ragged: frozenset[str]

    def __init__(self, index: BinaryIndex) -> None:
        said = index.describe()
        self.signature = signature(said)
        self.ragged = frozenset(said["ragged"])
        # A search looks at every code, whatever the query is; but how many are within a radius, nobody knows before.
        self.predictable_cost = not self.ragged
        self.native = Runner.of_index(index)
        self._run = index.run
        self._input = self.signature.inputs[0].name
        self._outputs = [spec.name for spec in self.signature.outputs]

    def run(self, inputs: Mapping[str, NDArray[Any]], ending: Ending | None = None) -> dict[str, NDArray[Any]]:
        """Return all outputs by name."""
        goes_on = None if ending is None else lambda: not ending.ended
        try:
            return dict(zip(self._outputs, self._run(inputs[self._input], goes_on=goes_on), strict=True))
        except StoppedError as error:
            raise EndedError from error
        except ValueError as error:
            raise refused(self._input, error) from error


class IndexBackend:
    """Opens safetensors files of the profile `liam.binary_index`."""

    def load(self, files: Mapping[str, Path], ending: Ending | None = None) -> IndexModel:
        """Return the index in the version's one file; the file is not needed afterwards."""
        del ending
        return IndexModel(open_file(KIND, files, BinaryIndex.open))
