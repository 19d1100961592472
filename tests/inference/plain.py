"""A version that plain requests are answered for, without servers around it."""

from __future__ import annotations

import numpy as np

from liam_core import BinaryNetwork
from liam_core.oip import Numbers
from neuralmesh import oip
from neuralmesh_server import prediction_id
from neuralmesh_server.inference import convert, inputs
from neuralmesh_server.inference.backends import warmup
from neuralmesh_server.inference.backends.execution import Output
from neuralmesh_server.inference.backends.liam import LiamModel
from neuralmesh_server.inference.hot import RECEIPTS, Hot
from neuralmesh_server.inference.policy import MILLION, ModelPolicy, ReceiptMode, Receipts
from neuralmesh_server.inference.reporting.activity import Activity
from neuralmesh_server.inference.serving import LoadedModel, Route, Served, Serving, Snapshot
from neuralmesh_server.inference.tensors import Signature

DIGEST = "sha256:" + "5a" * 32
KEY = bytes(range(32))
KEPT = ModelPolicy(receipts=Receipts(ReceiptMode.ALL, MILLION))


class Node:
    """A version of four features and three classes, and what answers for it."""

    def __init__(
        self,
        network: BinaryNetwork,
        policy: ModelPolicy = KEPT,
        room: int = RECEIPTS,
        labels: int = 100_000,
        **hot: object,
    ) -> None:
        runner = LiamModel(network)
        signature = Signature(runner.signature.inputs, runner.signature.outputs, "label")
        checked = warmup.check(runner, signature)
        self.activity = Activity(labels, "edge")
        self.loaded = LoadedModel(
            model="m", version=1, uid=7, digest=DIGEST, kind="liam.binary_network", signature=signature, runner=runner,
            size_bytes=1, base_ns=1, row_ns=1, label_index=checked.label_index,
            activity=self.activity.version("m", 1, DIGEST), run_raw=runner.run_raw,
        )  # fmt: skip
        self.subject = prediction_id.subject(3, 7, 1, DIGEST)
        route = Route(Served(self.loaded, 3, self.subject), policy=policy)
        self.serving = Serving()
        self.serving.replace(
            Snapshot(
                revision=3, models=frozenset({"m"}), served={("m", 1): route.served}, aliases={}, states={}, targets={},
                routes={("m", ""): route, ("m", "1"): route, ("m", "production"): route},
            )
        )  # fmt: skip
        self.issuer = prediction_id.Issuer("edge", KEY, 1000, Numbers())
        self.hot = Hot(serving=self.serving, activity=self.activity, issuer=self.issuer, node="edge", room=room, **hot)

    def expected(self, data: bytes, issued: str) -> oip.ModelInferResponse:
        """Return what the ordinary way answers, but for the id."""
        request = convert.read_request(data)
        read = inputs.read(self.loaded, request)
        assert read.raw is not None
        assert self.loaded.run_raw is not None
        results = self.loaded.run_raw(read.raw, read.rows)
        specs = self.loaded.signature.outputs
        outputs = [
            Output(spec.name, spec.datatype, tuple(read.rows if size == -1 else size for size in spec.shape), raw)
            for spec, raw in zip(specs, results, strict=True)
        ]
        parameters = {"prediction_id": issued, "digest": DIGEST, "node": "edge"}
        wanted = [outputs[place] for place in read.wanted]
        return oip.ModelInferResponse.FromString(convert.write_answer(self.loaded, request.id, wanted, parameters))


def request(rows: int = 1, **fields: object) -> oip.ModelInferRequest:
    """Return a request that the codec answers."""
    message = oip.ModelInferRequest(model_name="m", **fields)
    message.inputs.add(name="input", datatype="FP32", shape=[rows, 4])
    elements = np.random.default_rng(rows).standard_normal((rows, 4)).astype(np.float32)
    message.raw_input_contents.append(elements.tobytes())
    return message
