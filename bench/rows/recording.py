"""What receipts and metrics cost: a node that keeps both beside one that keeps neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import load, models
from bench.answers import rate
from bench.figures import least, most, ratio, turned
from bench.setting import DIGITS_OUTPUTS, ready
from neuralmesh import Client
from neuralmesh.registry.v1 import resources_pb2

if TYPE_CHECKING:
    from bench.answers import Answers
    from bench.figures import Check, Rounds
    from bench.setting import Setting

ON, OFF = "receipts and metrics", "neither"
MODEL = "recorded"
CLIENTS = (1, 16)
SECONDS = 3


class Recording:
    """0.95 of the answers a second with a receipt of digests for each and metrics sent."""

    name = "receipts"
    measure = "receipts (digests) and metrics on, against both off"
    rounds = 5
    seconds = 15.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Serve one file as two models, of which one is recorded; the other's node knows no metrics service."""
        setting = self._setting
        setting.served_packed()
        setting.served(MODEL, setting.models.packed, models.LIAM, models.digits_signature())
        receipts = resources_pb2.ReceiptPolicy(
            mode=resources_pb2.ReceiptPolicy.MODE_ALL, content=resources_pb2.ReceiptPolicy.CONTENT_DIGESTS
        )
        setting.client.registry.set_model_policy(MODEL, resources_pb2.ModelPolicy(receipts=receipts))
        process, address = setting.suite.node("silent", {"NEURALMESH_METRICS": ""})
        with Client(inference=address) as client:
            ready(client.inference, "packed")
        on = setting.target(
            ON,
            setting.suite.processes["inference"],
            setting.suite.addresses["inference"],
            setting.packed_request(MODEL),
            DIGITS_OUTPUTS,
        )
        self._targets = (
            setting.target(OFF, process, address, setting.packed_request("packed"), DIGITS_OUTPUTS),
            on,
        )
        for target in self._targets:
            load.run(target, requests=setting.some(4_000), clients=16)
        self._lost_before = self._lost()
        return ["receipts: every prediction; metrics: reported twice a second"]

    def _lost(self) -> int:
        return int(self._setting.client.node.list_receipts_page(MODEL, page_size=1).lost_receipts)

    def pair(self, number: int) -> list[Answers]:
        """Run both at one client and at 16."""
        samples = []
        for clients in CLIENTS:
            for target in turned(self._targets, number):
                load.idle()
                samples.append(load.run(target, seconds=self._setting.span(SECONDS), clients=clients))
        return samples

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Compare answers a second."""
        return [
            least(f"answers/s of those without, c = {clients}", ratio(rounds, ON, OFF, rate, clients), 0.95)
            for clients in CLIENTS
        ] + [most("receipts that were lost", self._lost() - self._lost_before, 0)]
