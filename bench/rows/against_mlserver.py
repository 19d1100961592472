"""Our packed network beside MLServer with a model that does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import load, models
from bench.answers import p50, rate
from bench.figures import least, most, ratio, turned
from bench.setting import DIGITS_OUTPUTS

if TYPE_CHECKING:
    from bench.answers import Answers
    from bench.figures import Check, Rounds
    from bench.setting import Setting

OURS, THEIRS = "packed network", "MLServer identity"
CLIENTS = (1, 16)
SECONDS = 2


class AgainstMlserver:
    """Six times its answers a second, at most 0.4 of its latency."""

    name = "mlserver"
    measure = "packed network, one row, against MLServer 1.7 with an identity model"
    rounds = 5
    seconds = 12.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Start both and hold their answers against what they must be."""
        setting = self._setting
        setting.served_packed()
        processes, addresses = setting.suite.processes, setting.suite.addresses
        request = setting.packed_request()
        self._ours = setting.target(OURS, processes["inference"], addresses["inference"], request, DIGITS_OUTPUTS)
        peer = setting.mlserver
        same = models.request("identity", setting.models.data.held_out_images[:1])
        self._theirs = setting.target(THEIRS, peer.process, peer.address, same, {"output": ("FP32", [1, 64])})
        for target in (self._theirs, self._ours):
            load.run(target, requests=setting.some(2_000), clients=16)
        return [peer.name]

    def pair(self, number: int) -> list[Answers]:
        """Run both at one client and at 16."""
        samples = []
        for clients in CLIENTS:
            for target in turned((self._theirs, self._ours), number):
                load.idle()
                samples.append(load.run(target, seconds=self._setting.span(SECONDS), clients=clients))
        return samples

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Compare answers a second at 16 clients, and the median latency at one."""
        return [
            least("answers/s of MLServer's, c = 16", ratio(rounds, OURS, THEIRS, rate, 16), 6.0),
            most("median latency of MLServer's, c = 1", ratio(rounds, OURS, THEIRS, p50, 1), 0.4),
        ]
