"""What executes versions, seen from the service: a backend opens files, a model runs arrays.

Only kinds whose files are data are served: nothing here or in the backends unpickles, imports or executes what a
version brings along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.inference.tensors import Signature


class LoadError(Exception):
    """A version cannot be served; the message says why, for people."""


class Model(Protocol):
    """A version that is ready to run, from any thread.

    Attributes:
        signature: What the files themselves say.
        exact: How far answers repeat: "bits" for the same bits whatever the batch and the machine, "build" for the same
            bits on one machine and build with the same batch.
        run_raw: For a model with one input of fixed width: raw elements and their rows to the raw elements of every
            output, in order. None when the backend has no such way.
    """

    signature: Signature
    exact: str
    run_raw: Callable[[bytes, int], tuple[bytes, ...]] | None

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return all outputs by name.

        Raises:
            neuralmesh_server.errors.NeuralMeshError: The inputs cannot be run (INPUT_INVALID) or the model failed
                (MODEL_FAILED).
        """


class Backend(Protocol):
    """Opens versions of one kind."""

    def load(self, files: Mapping[str, Path]) -> Model:
        """Return the model in the files of a version, by their paths in the manifest.

        Raises:
            LoadError: The files are no such model.
        """
