"""Our packed network beside Triton with a model in its Python backend that does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import load, models
from bench.answers import cpu, rate
from bench.figures import least, most, ratio, turned
from bench.setting import DIGITS_OUTPUTS

if TYPE_CHECKING:
    from bench.answers import Answers
    from bench.figures import Check, Rounds
    from bench.setting import Setting

OURS, THEIRS = "packed network", "Triton identity"
CLIENTS = 16
SECONDS = 2


class AgainstTriton:
    """At most 0.7 of its processor time for an answer, 1.3 times its answers a second."""

    name = "triton"
    measure = "packed network, one row, against tritonserver with an identity model in its Python backend"
    rounds = 7
    seconds = 6.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Start both and hold their answers against what they must be."""
        setting = self._setting
        setting.served_packed()
        processes, addresses = setting.suite.processes, setting.suite.addresses
        request = setting.packed_request()
        ours = setting.target(OURS, processes["inference"], addresses["inference"], request, DIGITS_OUTPUTS)
        peer = setting.triton
        same = models.request("identity", setting.models.data.held_out_images[:1])
        theirs = setting.target(THEIRS, peer.process, peer.address, same, {"output": ("FP32", [1, 64])})
        self._targets = (theirs, ours)
        for target in self._targets:
            load.run(target, requests=setting.some(4_000), clients=CLIENTS)
        return [peer.name, "processor time: the server and the stub that runs the model"]

    def pair(self, number: int) -> list[Answers]:
        """Run both at 16 clients."""
        samples = []
        for target in turned(self._targets, number):
            load.idle()
            samples.append(load.run(target, seconds=self._setting.span(SECONDS), clients=CLIENTS))
        return samples

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Compare processor time and answers a second."""
        return [
            most("server CPU for an answer of Triton's", ratio(rounds, OURS, THEIRS, cpu), 0.7),
            least("answers/s of Triton's, c = 16", ratio(rounds, OURS, THEIRS, rate), 1.3),
        ]
