"""A download that is cut: how many bytes come a second time."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures import most, shown
from bench.mesh.large import large_index
from bench.setting import until
from neuralmesh_server.demo.mesh.line import Line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from bench.figures import Check, Rounds
    from bench.mesh.setting import MeshSetting

CHUNK_BYTES = 1024 * 1024
CUTS = (5_300_000, 17_000_000)


@dataclass(frozen=True, slots=True)
class Bytes:
    """What a round measured.

    Attributes:
        again: Bytes that the edge took of the artifact beyond its size.
        passed: Bytes that the line carried to it beyond that size: also frames, states, and what was on its way.
    """

    side: str
    again: int
    passed: int
    case: str = ""

    def line(self, number: str) -> str:
        """Return a printed row."""
        return f"{number:>6}  {self.side:34} {self.again:,} bytes again; {self.passed:,} bytes more on the line"

    @classmethod
    def middle(cls, samples: Sequence[Self]) -> Self:
        """Return the one with the most."""
        return max(samples, key=lambda sample: sample.again)


class Resume:
    """At most one chunk for each cut."""

    name = "resume"
    measure = "resumed download after a cut: bytes again"
    rounds = 1
    seconds = 10.0

    def __init__(self, setting: MeshSetting) -> None:
        self._setting = setting
        self._again: list[int] = []
        self._passed: list[int] = []

    def prepare(self) -> list[str]:
        """Push an artifact of 32 MiB and assign it to a tier of its own."""
        setting = self._setting
        self._path = large_index(setting.fresh_folder("index"))
        self._size = self._path.stat().st_size
        setting.client.push("large", self._path, kind="liam.binary_index")
        setting.client.promote("large", 1)
        setting.client.mesh.set_assignment("tier=cut", "large", "production")
        return [f"the artifact has {self._size:,} bytes; the line is reset after {CUTS[0]:,} and after {CUTS[1]:,}"]

    def pair(self, number: int) -> list[Bytes]:
        """Start an edge behind a line that is cut twice, and count what came over it."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            line = Line.to(self._setting.suite.addresses["registry"])
            self._call(loop, line.up())
            line.faults.cut_down_at = CUTS[0]
            edge = self._setting.edge(f"cut-{number}", registry=line.address, labels="tier=cut")
            until(lambda: line.faults.cut_down_at is None, "the line was cut")
            line.faults.cut_down_at = CUTS[1]
            until(lambda: edge.client.inference.model_ready("large", "production"), "the edge serves it")
            until(lambda: edge.client.edge.get_edge_status().figures.fetched_registry_bytes >= self._size, "it counted")
            fetched = edge.client.edge.get_edge_status().figures.fetched_registry_bytes
            self._again.append(fetched - self._size)
            self._passed.append(line.down_bytes - self._size)
            self._call(loop, line.down())
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        return [Bytes("edge", self._again[-1], self._passed[-1])]

    def verdict(self, rounds: Rounds[Bytes]) -> list[Check]:
        """Compare with a chunk for each cut."""
        del rounds
        return [
            most("bytes that the edge fetched again, for each cut", max(self._again) / len(CUTS), CHUNK_BYTES, "B"),
            shown("bytes on the line beyond the artifact, two cuts", max(self._passed), "B"),
        ]

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(30)  # type: ignore[arg-type]
