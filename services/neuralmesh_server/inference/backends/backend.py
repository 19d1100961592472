"""What executes versions, seen from the service: a backend opens files, a model runs arrays.

Only kinds whose files are data are served: nothing here or in the backends unpickles, imports or executes what a
version brings along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.ending import Ending
    from neuralmesh_server.inference.backends.execution import Output
    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.tensors import Signature


class LoadError(Exception):
    """A version cannot be served; the message says why, for people."""


class NotYetError(LoadError):
    """A version cannot be served for now, for a reason outside its files: it is tried again."""


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What another server answered.

    Attributes:
        outputs: All outputs of the signature, in order.
        parameters: What our answer says of it, beside its own parameters.
        exact: How far this answer repeats; see `Model.exact`.
    """

    outputs: list[Output]
    parameters: Mapping[str, str]
    exact: str


class Upstream(Protocol):
    """Another server that runs a version; belongs to the loop."""

    async def infer(self, request: Request, signature: Signature, caller: Caller) -> UpstreamAnswer:
        """Return the upstream's answer to a request that was held against the signature.

        Raises:
            neuralmesh_server.errors.NeuralMeshError: UPSTREAM_FAILED, PEER_UNREACHABLE, DEADLINE_EXPIRED,
                HOPS_EXCEEDED, DIGEST_MISMATCH; metadata `upstream` names the server and its model.
        """


class Model(Protocol):
    """A version that is ready to run, from any thread.

    Attributes:
        signature: What the files themselves say.
        exact: How far answers repeat: "bits" for the same bits whatever the batch and the machine, "build" for the same
            bits on one machine and build with the same batch, "unverified" when nothing is promised.
        predictable_cost: True when the time of a run follows from the shapes alone, so that a measured run tells it.
        run_raw: For a model with one input of fixed width: raw elements and their rows to the raw elements of every
            output, in order. None when the backend has no such way.
        upstream: What answers instead of `run`, for a version that another server runs; None for all others.
        ragged: Names of outputs whose first dimension counts other things than the rows of the inputs, although it is
            free: requests of such a version are never joined.
    """

    signature: Signature
    exact: str
    predictable_cost: bool
    run_raw: Callable[[bytes | memoryview, int], tuple[bytes, ...]] | None
    upstream: Upstream | None
    ragged: frozenset[str]

    def run(self, inputs: Mapping[str, NDArray[Any]], ending: Ending | None = None) -> dict[str, NDArray[Any]]:
        """Return all outputs by name.

        Raises:
            neuralmesh_server.inference.backends.ending.EndedError: The run was ended; never for a model of predictable
                cost.
            neuralmesh_server.errors.NeuralMeshError: The inputs cannot be run (INPUT_INVALID) or the model failed
                (MODEL_FAILED).
        """


class Backend(Protocol):
    """Opens versions of one kind."""

    def load(self, files: Mapping[str, Path], ending: Ending | None = None) -> Model:
        """Return the model in the files of a version, by their paths in the manifest.

        Raises:
            neuralmesh_server.inference.backends.ending.EndedError: The opening was ended.
            LoadError: The files are no such model.
            NotYetError: They are, but what they need is not there now.
        """
