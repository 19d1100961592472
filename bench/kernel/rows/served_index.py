"""A served `binary_index`, one query over gRPC: what a server adds to the kernel's own time."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from bench import load
from bench.figures import most, pick, shown, turned
from bench.kernel import peers
from bench.kernel.cases import OURS
from bench.kernel.timing import Timing
from bench.setting import ask
from liam_core import write_binary_index
from liam_core.search import BinaryCodes
from neuralmesh import oip
from neuralmesh.registry.v1 import resources_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Check, Rounds
    from bench.kernel.setting import KernelSetting

KIND = "liam.binary_index"
NBITS, K = 1024, 10
LARGE, SMALL = 1_000_000, 20_000
"""The small one's run is too long for the server's loop as well, so both are answered in the same way."""

CALLS = {LARGE: 40, SMALL: 1_000}
STRETCHES = 5
"""Both sides take turns so many times in a round: what the memory gives changes from second to second."""

SERVER = "server, over gRPC"
TERA = 1e12


class ServedIndex:
    """The kernel's time and at most 60 us of the server's processor time."""

    name = "index"
    measure = f"served binary_index, {LARGE:,} codes of {NBITS} bits, top-{K}, one query over gRPC, beside the kernel"
    rounds = 9
    seconds = 12.0

    def __init__(self, setting: KernelSetting) -> None:
        self._setting = setting
        self._served: list[_Served] = []

    def prepare(self) -> list[str]:
        """Push a large and a small index, and hold the answers against the kernel's."""
        with self._setting.all_processors():
            self._served = [_Served(self._setting, codes) for codes in (SMALL, LARGE)]
        return [
            f"{load.version()}, one client; both figures are means of processor time",
            f"of {SMALL:,} codes as well, where the kernel's own time is short and hides nothing",
        ]

    def pair(self, number: int) -> list[Timing]:
        """Send queries, and ask the kernel as often."""
        return [sample for served in self._served for sample in served.pair(number)]

    def verdict(self, rounds: Rounds[Timing]) -> list[Check]:
        """Subtract, round by round."""

        def above(case: str) -> float:
            return statistics.median(
                (pick(samples, SERVER, case).seconds - pick(samples, OURS, case).seconds) * 1e6 for samples in rounds
            )

        small, large = (served.case for served in self._served)
        return [
            most(f"{large}, server CPU above the kernel's", above(large), 60, "us"),
            shown(f"{small}, server CPU above the kernel's", above(small), "us"),
        ]


class _Served:
    """An index that is served, and the same codes in this process."""

    def __init__(self, setting: KernelSetting, rows: int) -> None:
        self._setting, serving, random = setting, setting.serving, np.random.default_rng(rows)
        self.case = f"{rows:,}"
        self._rows = rows
        self._calls = serving.some(CALLS[rows])
        codes = random.integers(0, 2**64, (rows, NBITS // 64), np.uint64)
        self._query = random.integers(0, 2**64, (1, NBITS // 64), np.uint64)
        self._codes = BinaryCodes(codes, NBITS)
        name, path = f"index-{rows}", serving.fresh_folder("index") / "index.safetensors"
        write_binary_index(path, codes=codes, nbits=NBITS, k=K, input_form="packed")
        serving.served(name, path, KIND, _signature())
        request = self._request(name)
        process, address = serving.suite.processes["inference"], serving.suite.addresses["inference"]
        expected = {"ids": ("INT64", [1, K]), "distances": ("INT32", [1, K])}
        self._target = serving.target(SERVER, process, address, request, expected)
        self._compare(ask(address, request))
        load.run(self._target, requests=self._calls, clients=1)

    def pair(self, number: int) -> list[Timing]:
        """Let both sides take turns, and return what each took on average."""
        order = turned((self.server, self.kernel), number)
        stretches = 1 if self._setting.quick else STRETCHES
        taken = [[side() for side in order] for _ in range(stretches)]
        return [self._mean(samples) for samples in zip(*taken, strict=True)]

    def server(self) -> Timing:
        """Send queries, one after the other."""
        with self._setting.all_processors():
            load.idle()
            answers = load.run(self._target, requests=self._calls, clients=1)
        return self._timing(SERVER, answers.cpu_us / 1e6, answers.p50_us / 1e6)

    def kernel(self) -> Timing:
        """Search without a server."""
        began, worked = time.perf_counter(), time.thread_time()
        for _ in range(self._calls):
            self._codes.top_k(self._query, K)
        worked, passed = time.thread_time() - worked, time.perf_counter() - began
        return self._timing(OURS, worked / self._calls, passed / self._calls)

    def _mean(self, samples: Sequence[Timing]) -> Timing:
        seconds, passed = (
            statistics.fmean(getattr(sample, name) for sample in samples) for name in ("seconds", "passed")
        )
        return self._timing(samples[0].side, seconds, passed)

    def _timing(self, side: str, seconds: float, passed: float) -> Timing:
        return Timing(side, self.case, seconds, passed, self._rows * NBITS / TERA, "Tbit/s")

    def _request(self, name: str) -> bytes:
        message = oip.ModelInferRequest(model_name=name)
        message.inputs.add(name="input", datatype="UINT8", shape=[1, NBITS // 8])
        message.raw_input_contents.append(self._query.tobytes())
        return bytes(message.SerializeToString())

    def _compare(self, answer: bytes) -> None:
        message, found = oip.ModelInferResponse.FromString(answer), self._codes.top_k(self._query, K)
        raw = dict(zip((output.name for output in message.outputs), message.raw_output_contents, strict=True))
        peers.agree(SERVER, np.frombuffer(raw["ids"], "<i8"), found.positions[0])
        peers.agree(SERVER, np.frombuffer(raw["distances"], "<i4"), found.distances[0].astype(np.int32))


def _signature() -> resources_pb2.Signature:
    spec = resources_pb2.TensorSpec
    return resources_pb2.Signature(
        inputs=[spec(name="input", datatype="UINT8", shape=[-1, NBITS // 8])],
        outputs=[
            spec(name="ids", datatype="INT64", shape=[-1, K]),
            spec(name="distances", datatype="INT32", shape=[-1, K]),
        ],
    )
