"""A server that runs versions, as this node sees it: what is asked, what comes back, how a call fails. No transport.

`link_upstream` fulfils this over gRPC; tests may stand in others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuralmesh_server.inference.request import Request
    from neuralmesh_server.inference.tensors import TensorSpec


class UpstreamError(Exception):
    """A call failed; the message is the upstream's or the transport's.

    Attributes:
        code: Name of the gRPC status code.
        reason: The contract's reason, where another node gave one; else empty.
        sent: False when the call never left this node, so that nothing can have run.
        retry_seconds: When the upstream says that it may be tried again, in seconds; None when it does not say.
    """

    def __init__(
        self, code: str, message: str, *, reason: str = "", sent: bool = True, retry_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.sent = sent
        self.retry_seconds = retry_seconds


@dataclass(frozen=True, slots=True)
class Target:
    """Where versions run: those with the same target share one connection.

    Attributes:
        address: `host:port`.
        tls: See `upstream_descriptor.Descriptor`.
        credentials: See there.
    """

    address: str
    tls: str
    credentials: str


@dataclass(frozen=True, slots=True)
class Description:
    """What an upstream says of a model.

    Attributes:
        inputs: Empty where it does not say.
        outputs: Empty where it does not say.
        properties: Facts by name; another node gives `digest` and `numerics`.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Forward:
    """A request to pass on.

    Attributes:
        request: What the caller asked of this node.
        model: Name of the model on the upstream.
        version: Its version there; may be empty.
        seconds: How long to wait, with the time to connect.
        hops: How many nodes have passed the request on, this one included.
        metadata: Further metadata of the call.
    """

    request: Request
    model: str
    version: str
    seconds: float
    hops: int
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Passing:
    """A request that goes to another node as it came.

    Attributes:
        data: The bytes of the ModelInferRequest.
        seconds: How long to wait, with the time to connect.
        metadata: Metadata of the call.
    """

    data: bytes
    seconds: float
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReplyOutput:
    """An output as the upstream sent it: raw elements, or typed ones by the names of their fields."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | None
    typed: Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Reply:
    """An upstream's answer, nothing of it checked; `version` may be empty, `parameters` are those that are text."""

    version: str
    outputs: tuple[ReplyOutput, ...]
    parameters: Mapping[str, str]


class UpstreamLink(Protocol):
    """A connection to an upstream; every method but `close` raises UpstreamError."""

    async def ready(self, model: str, version: str, seconds: float) -> bool:
        """Say whether the upstream would answer for a model."""

    async def describe(self, model: str, version: str, seconds: float) -> Description:
        """Return what the upstream says of a model."""

    async def infer(self, forward: Forward) -> Reply:
        """Return the answer to a request; cancelling this cancels the call."""

    async def close(self) -> None:
        """End all calls and the connection."""


class UpwardLink(Protocol):
    """A connection to the node further up."""

    async def pass_on(self, passing: Passing) -> bytes:
        """Return the bytes of the answer; cancelling this cancels the call. Raises UpstreamError."""

    async def close(self) -> None:
        """End all calls and the connection."""
