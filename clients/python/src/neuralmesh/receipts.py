"""Receipts: a prediction written down so that it can be run again on the same version and compared. Sends nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh import oip
from neuralmesh.exceptions import FailedPreconditionError, InternalError, InvalidArgumentError
from neuralmesh.inference.v1 import receipt_pb2
from neuralmesh.prediction import Prediction, read_response

if TYPE_CHECKING:
    from neuralmesh.inference.v1.receipt_pb2 import Receipt


@dataclass(frozen=True, slots=True)
class Replay:
    """A receipt's request, run again.

    Attributes:
        identical: The outputs have the same bits as the recorded ones.
        outputs_digest: Digest of the new outputs.
        prediction: The new answer.
    """

    identical: bool
    outputs_digest: str
    prediction: Prediction


def build(request: Any, response: Any) -> Receipt:
    """Return the receipt of an answered ModelInferRequest, with both payloads.

    Raises:
        InternalError: The answer breaks the protocol, or does not say what made it.
    """
    prediction = read_response(response)
    if not (prediction.prediction_id and prediction.digest and prediction.version):
        raise InternalError("INTERNAL", "the answer names no prediction id, digest and version; no receipt is possible")
    data = request.SerializeToString()
    return receipt_pb2.Receipt(
        prediction_id=prediction.prediction_id,
        model=prediction.model,
        version=prediction.version,
        digest=prediction.digest,
        node=prediction.node,
        request=data,
        request_digest=_digest(data),
        response=response.SerializeToString(),
        outputs_digest=outputs_digest(response),
    )


def outputs_digest(response: Any) -> str:
    """Return the digest of an answer's outputs as `Receipt.outputs_digest` defines it, from raw contents."""
    if len(response.outputs) != len(response.raw_output_contents):
        raise InternalError("INTERNAL", "the answer has other contents than one raw buffer for each output")
    content = hashlib.sha256()
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        header = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape), "bytes": len(raw)}
        content.update(json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
        content.update(b"\n")
        content.update(raw)
    return f"sha256:{content.hexdigest()}"


def request_to_replay(receipt: Receipt) -> Any:
    """Return the receipt's request, pinned to the version that answered.

    Raises:
        InvalidArgumentError: The receipt holds no request, or not the one whose digest it names.
    """
    if not receipt.HasField("request"):
        raise InvalidArgumentError("FIELD_INVALID", "the receipt holds no request to run again", {"field": "request"})
    if _digest(receipt.request) != receipt.request_digest:
        raise InvalidArgumentError(
            "FIELD_INVALID", "the receipt's request does not have the digest that it names", {"field": "request_digest"}
        )
    request = oip.ModelInferRequest.FromString(receipt.request)
    request.model_version = str(receipt.version)
    return request


def compare(receipt: Receipt, response: Any) -> Replay:
    """Compare a second answer with the recorded one.

    Raises:
        FailedPreconditionError: Another version answered than the receipt names.
    """
    prediction = read_response(response)
    if prediction.digest != receipt.digest:
        raise FailedPreconditionError(
            "DIGEST_MISMATCH",
            f"{prediction.digest} answered, the receipt names {receipt.digest}",
            {"expected": receipt.digest, "actual": prediction.digest},
        )
    found = outputs_digest(response)
    return Replay(found == receipt.outputs_digest, found, prediction)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
