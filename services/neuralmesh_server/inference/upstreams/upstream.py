"""A version that another server runs: passes requests on, and holds the answers against what was promised.

What the upstream says is not believed: an answer is checked like a caller's request, a status is translated so that
UNAVAILABLE still means that nothing ran, and an answer proves its identity by naming the digest that was expected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NeuralMeshError,
    ResourceExhaustedError,
    UnavailableError,
)
from neuralmesh_server.inference.backends.backend import UpstreamAnswer
from neuralmesh_server.inference.backends.execution import Output
from neuralmesh_server.inference.request import MAX_HOPS
from neuralmesh_server.inference.tensors import TensorError, check_shape, from_raw, from_values, to_raw
from neuralmesh_server.inference.upstreams.link import Forward, UpstreamError
from neuralmesh_server.inference.validate import TYPED_FIELDS

if TYPE_CHECKING:
    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.tensors import Signature, TensorSpec
    from neuralmesh_server.inference.upstreams.descriptor import Descriptor
    from neuralmesh_server.inference.upstreams.link import Reply, ReplyOutput, UpstreamLink

UNVERIFIED = "unverified"
PROVED = "proved"

PASSED_ON = ("traceparent", "tracestate")
"""Metadata of the caller that goes along."""

_SAME_CODE: dict[str, type[NeuralMeshError]] = {
    "INVALID_ARGUMENT": InvalidArgumentError,
    "OUT_OF_RANGE": InvalidArgumentError,
    "RESOURCE_EXHAUSTED": ResourceExhaustedError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
    # The caller asked for a version that exists here. That its upstream knows no such model, or does not let this node
    # in, is no mistake of the caller's, and no retry helps.
    "NOT_FOUND": FailedPreconditionError,
    "UNIMPLEMENTED": FailedPreconditionError,
    "FAILED_PRECONDITION": FailedPreconditionError,
    "UNAUTHENTICATED": FailedPreconditionError,
    "PERMISSION_DENIED": FailedPreconditionError,
}
"""What becomes of an upstream's status; UNAVAILABLE is a case of its own, everything else is INTERNAL."""

_NOTHING_RAN = (
    "Exceeds maximum queue size",
    "Request timeout expired",
    "is not at ready state",
    "Server exiting",
    "Server not ready",
    "GRPC server is shutting down",
)
"""Texts with which Triton says UNAVAILABLE before it runs anything."""


class RemoteUpstream:
    """See neuralmesh_server.inference.backends.backend.Upstream.

    Args:
        descriptor: Which server, and what it must prove.
        link: The connection to it.
        exact: How far answers repeat that prove their digest; see `backend.Model.exact`.
    """

    def __init__(self, descriptor: Descriptor, link: UpstreamLink, exact: str) -> None:
        self._descriptor = descriptor
        self._link = link
        self._exact = exact

    async def infer(self, request: Request, signature: Signature, caller: Caller) -> UpstreamAnswer:
        """Return the upstream's answer."""
        reply = await self._ask(request, caller)
        identity, digest = self._identity(reply)
        outputs = [self._output(spec, reply) for spec in signature.outputs]
        said = {
            "upstream_version": reply.version,
            "upstream_digest": digest,
            "upstream_prediction_id": reply.parameters.get("prediction_id", ""),
        }
        parameters = {"identity": identity} | {key: value for key, value in said.items() if value}
        return UpstreamAnswer(outputs, parameters, self._exact if identity == PROVED else UNVERIFIED)

    async def _ask(self, request: Request, caller: Caller) -> Reply:
        descriptor = self._descriptor
        if caller.hops >= MAX_HOPS:
            raise FailedPreconditionError(
                "HOPS_EXCEEDED",
                f"{caller.hops} nodes passed the call on already; {descriptor.label} is not asked",
                upstream=descriptor.label,
                hops=caller.hops,
            )
        seconds, remaining = descriptor.timeout_ms / 1000, caller.remaining()
        if remaining is not None:
            seconds = min(seconds, remaining)
        if seconds <= 0:
            raise DeadlineExceededError(
                "DEADLINE_EXPIRED",
                f"the deadline passed before {descriptor.label} was asked",
                upstream=descriptor.label,
            )
        found = [(key, caller.metadata(key)) for key in PASSED_ON]
        metadata = tuple((key, value) for key, value in found if value is not None)
        forward = Forward(request, descriptor.model, descriptor.version, seconds, caller.hops + 1, metadata)
        try:
            return await self._link.infer(forward)
        except UpstreamError as error:
            raise failure(error, descriptor.label) from error

    def _identity(self, reply: Reply) -> tuple[str, str]:
        """Return "proved" or "unverified", and the digest that the answer names."""
        found, wanted = reply.parameters.get("digest", ""), self._descriptor.expects_digest
        if wanted and found and found != wanted:
            raise FailedPreconditionError(
                "DIGEST_MISMATCH",
                f"upstream {self._descriptor.label} answered with {found}, the version expects {wanted}",
                upstream=self._descriptor.label,
                expected=wanted,
                actual=found,
            )
        # A node that itself passed the request on proves its descriptor, not what ran.
        proved = bool(wanted) and found == wanted and reply.parameters.get("identity") != UNVERIFIED
        return PROVED if proved else UNVERIFIED, found

    def _output(self, spec: TensorSpec, reply: Reply) -> Output:
        named = [output for output in reply.outputs if output.name == spec.name]
        if len(named) != 1:
            raise self._wrong(spec, "is missing" if not named else "came twice")
        (output,) = named
        if output.datatype != spec.datatype:
            raise self._wrong(spec, f"is {output.datatype!r} instead of {spec.datatype}")
        try:
            shape = _shape(spec, output.shape)
            return Output(spec.name, spec.datatype, shape, _raw(output))
        except TensorError as error:
            raise self._wrong(spec, str(error)) from error

    def _wrong(self, spec: TensorSpec, why: str) -> InternalError:
        label = self._descriptor.label
        return InternalError(
            "UPSTREAM_FAILED",
            f"output {spec.name!r} of upstream {label} {why}",
            upstream=label,
            output=spec.name,
        )


def failure(error: UpstreamError, label: str) -> NeuralMeshError:
    """Return what the caller is told of a failed call, with the upstream's hint when to try again."""
    told = _translated(error, label)
    return told if error.retry_seconds is None else told.retry_after(error.retry_seconds)


def _translated(error: UpstreamError, label: str) -> NeuralMeshError:
    facts = {"upstream": label, "upstreamCode": error.code, "upstreamReason": error.reason}
    facts = {key: value for key, value in facts.items() if value}
    message = f"upstream {label} answered {error.code}: {error}"
    if not error.sent:
        if error.code == "DEADLINE_EXCEEDED":
            return DeadlineExceededError(
                "DEADLINE_EXPIRED", f"upstream {label} was not reached before the deadline", **facts
            )
        return UnavailableError("PEER_UNREACHABLE", f"upstream {label} cannot be reached: {error}", **facts)
    if error.reason == "HOPS_EXCEEDED":
        return FailedPreconditionError(error.reason, message, **facts)
    if error.code == "UNAVAILABLE" and (error.reason or any(text in str(error) for text in _NOTHING_RAN)):
        return UnavailableError("UPSTREAM_FAILED", message, **facts)
    return _SAME_CODE.get(error.code, InternalError)("UPSTREAM_FAILED", message, **facts)


def _shape(spec: TensorSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    # MLServer's codecs and Triton's batches write a vector of n elements as [n, 1].
    if len(shape) == len(spec.shape) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    check_shape(spec, shape)
    return shape


def _raw(output: ReplyOutput) -> bytes:
    if output.raw is not None:
        from_raw(output.datatype, output.shape, output.raw)
        return output.raw
    field = TYPED_FIELDS.get(output.datatype)
    if field is None:
        raise TensorError(f"is {output.datatype}, which has no typed contents")
    for found in output.typed:
        if found != field:
            raise TensorError(f"is {output.datatype}, but has {found} instead of {field}")
    return to_raw(output.datatype, from_values(output.datatype, output.shape, output.typed.get(field, ())))
