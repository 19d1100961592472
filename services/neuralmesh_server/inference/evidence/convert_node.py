"""Between the node service's messages, recorded bytes, and what receipts, replays and proofs work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh import oip
from neuralmesh.inference.v1 import node_service_pb2, receipt_pb2
from neuralmesh.registry.v1 import resources_pb2
from neuralmesh_server import names, prediction_id, proof_seal
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.inference import convert
from neuralmesh_server.inference.backends.execution import Output
from neuralmesh_server.inference.evidence.receipts import BITS, BUILD, UNVERIFIED, Receipt, Subject
from neuralmesh_server.inference.evidence.replay import Verdict
from neuralmesh_server.inference.tensors import to_raw
from neuralmesh_server.runtime.handlers import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from neuralmesh_server.inference.evidence.differences import Difference
    from neuralmesh_server.inference.evidence.replay import Replayed
    from neuralmesh_server.inference.request import Request
    from neuralmesh_server.inference.tensors import Signature

_DIGEST_BYTES = 32
_NUMERICS = {
    BITS: receipt_pb2.Receipt.NUMERICS_BIT_EXACT,
    BUILD: receipt_pb2.Receipt.NUMERICS_SAME_PLATFORM,
    UNVERIFIED: receipt_pb2.Receipt.NUMERICS_UNVERIFIED,
}
_EXACT = {number: exact for exact, number in _NUMERICS.items()}
_VERDICTS = {
    Verdict.IDENTICAL: node_service_pb2.ReplayPredictionResponse.VERDICT_IDENTICAL,
    Verdict.DIFFERENT: node_service_pb2.ReplayPredictionResponse.VERDICT_DIFFERENT,
    Verdict.BROKEN: node_service_pb2.ReplayPredictionResponse.VERDICT_BROKEN,
}
_SOURCES = {
    proof_seal.ProofSource.GOLDEN: resources_pb2.Proof.SOURCE_GOLDEN,
    proof_seal.ProofSource.RECORDED: resources_pb2.Proof.SOURCE_RECORDED,
}


class RecordedCodec:
    """See neuralmesh_server.inference.evidence.replay.Codec and neuralmesh_server.inference.evidence.prove.Codec."""

    def read_request(self, data: bytes) -> Request:
        """Return the request of a ModelInferRequest; REQUEST_MALFORMED."""
        return convert.read_request(data)

    def read_outputs(self, data: bytes) -> list[Output]:
        """Return the outputs of a ModelInferResponse with raw contents; REQUEST_MALFORMED."""
        message = parse(oip.ModelInferResponse, data)
        if len(message.outputs) != len(message.raw_output_contents):
            raise _field("response", "the recorded answer has other contents than one raw buffer for each output")
        return [
            Output(output.name, output.datatype, tuple(output.shape), raw)
            for output, raw in zip(message.outputs, message.raw_output_contents, strict=True)
        ]

    def write_request(self, model: str, signature: Signature, arrays: Mapping[str, NDArray[Any]]) -> bytes:
        """Return the ModelInferRequest of arrays by the names of a signature's inputs."""
        message = oip.ModelInferRequest(model_name=model)
        for spec in signature.inputs:
            array = arrays[spec.name]
            message.inputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
            message.raw_input_contents.append(to_raw(spec.datatype, array))
        data: bytes = message.SerializeToString()
        return data


def receipt(kept: Receipt, node: str) -> Any:
    """Return the message of a receipt that a node kept."""
    node = kept.node or node
    return receipt_pb2.Receipt(
        prediction_id=prediction_id.text(node, kept.id),
        model=kept.subject.model,
        version=kept.subject.version,
        digest=kept.subject.digest,
        node=node,
        request=kept.request,
        request_digest=_digest_text(kept.request_digest),
        response=kept.response,
        outputs_digest=_digest_text(kept.outputs_digest),
        numerics=_NUMERICS[kept.exact],
        runtime=kept.subject.runtime,
    )


def read_receipt(message: Any) -> Receipt:
    """Return a receipt that a caller kept; raises FIELD_INVALID, NAME_INVALID, DIGEST_INVALID or VERSION_INVALID."""
    names.check_model(message.model)
    subject = Subject(
        message.model, 0, names.check_version(message.version), names.check_digest(message.digest), message.runtime
    )
    return Receipt(
        id=b"",
        subject=subject,
        exact=_EXACT.get(message.numerics, BUILD),
        request_digest=_digest(message.request_digest),
        outputs_digest=_digest(message.outputs_digest),
        request=message.request if message.HasField("request") else None,
        response=message.response if message.HasField("response") else None,
    )


def replayed(done: Replayed, node: str) -> Any:
    """Return the ReplayPredictionResponse of a replay."""
    loaded = done.loaded
    return node_service_pb2.ReplayPredictionResponse(
        verdict=_VERDICTS[done.verdict],
        version=loaded.version,
        digest=loaded.digest,
        numerics=_NUMERICS[done.exact],
        runtime=done.runtime,
        recorded_outputs_digest=_digest_text(done.receipt.outputs_digest),
        outputs_digest=_digest_text(done.outputs_digest),
        outputs=[_difference(one) for one in done.differences],
        response=convert.write_answer(loaded, done.request.id, done.outputs, {"digest": loaded.digest, "node": node}),
    )


def _difference(one: Difference) -> Any:
    return node_service_pb2.OutputDifference(
        name=one.name,
        identical=one.identical,
        different_elements=one.different,
        elements=one.elements,
        max_difference=one.largest,
    )


def source(number: int) -> proof_seal.ProofSource | None:
    """Return the source that is asked for, None for whichever there is; an unknown one raises FIELD_INVALID."""
    if number == resources_pb2.Proof.SOURCE_UNSPECIFIED:
        return None
    for one, known in _SOURCES.items():
        if known == number:
            return one
    raise _field("source", f"source {number} is not known")


def proof(made: proof_seal.Proof) -> Any:
    """Return the message of a proof."""
    fields: dict[str, Any] = proof_seal.fact(made)
    return resources_pb2.Proof(**{**fields, "source": _SOURCES[made.source], "seal": made.seal})


def _digest_text(digest: bytes) -> str:
    return "sha256:" + digest.hex()


def _digest(text: str) -> bytes:
    return bytes.fromhex(names.check_digest(text).removeprefix("sha256:"))


def _field(field: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError("FIELD_INVALID", why, field=field)
