"""Our packed network beside a handler that does nothing, on the best of grpcio: what a Python server costs at least."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import load
from bench.answers import p99, rate
from bench.figures import least, median, most, ratio, turned
from bench.setting import DIGITS_OUTPUTS, ask

if TYPE_CHECKING:
    from bench.answers import Answers
    from bench.figures import Check, Rounds
    from bench.setting import Setting

OURS, EMPTY = "packed network", "empty handler"
CLIENTS = (1, 16)
SECONDS = 2


class AgainstEmpty:
    """0.90 of the empty handler's answers a second, and p99 under half a millisecond at one client."""

    name = "empty"
    measure = "packed network, one row, c = 1 and c = 16, against the empty raw-bytes handler"
    rounds = 5
    seconds = 12.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Serve the packed network, and start the empty handler with an answer as long."""
        setting = self._setting
        setting.served_packed()
        request = setting.packed_request()
        address = setting.suite.addresses["inference"]
        ours = setting.target(OURS, setting.suite.processes["inference"], address, request, DIGITS_OUTPUTS)
        empty = setting.empty(ask(address, request), request, EMPTY)
        self._targets = (empty, ours)
        for target in self._targets:
            load.run(target, requests=setting.some(4_000), clients=16)
        return [f"request {len(request)} bytes, answer {ours.answer_bytes} bytes on both sides"]

    def pair(self, number: int) -> list[Answers]:
        """Run both at one client and at 16."""
        samples = []
        for clients in CLIENTS:
            for target in turned(self._targets, number):
                load.idle()
                samples.append(load.run(target, seconds=self._setting.span(SECONDS), clients=clients))
        return samples

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Compare answers a second at both, and look at the slowest answers."""
        return [
            least("answers/s of the empty handler's, c = 1", ratio(rounds, OURS, EMPTY, rate, 1), 0.90),
            least("answers/s of the empty handler's, c = 16", ratio(rounds, OURS, EMPTY, rate, 16), 0.90),
            most("p99 at c = 1", median(rounds, OURS, p99, 1), 500, "us"),
        ]
