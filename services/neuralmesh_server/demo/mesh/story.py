"""The mesh's story: edges serve while the line is cut, converge when it is back, and a rollback on site is reconciled.

Every figure that is printed comes from this run, and each step checks what it claims.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from liam_core import BinaryNetwork
from neuralmesh_server.demo import digits
from neuralmesh_server.demo.mesh.site import CutLine, EdgeProcess
from neuralmesh_server.demo.mesh.traffic import Traffic
from neuralmesh_server.demo.stage import check, until

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from numpy.typing import NDArray
    from rich.console import Console

    from neuralmesh import Client

MODEL, ALIAS, KIND = "digits", "production", "liam.binary_network"
SITES = ("oslo", "bergen")
AWHILE = 300
"""Requests that callers make between two steps, so that each step is seen by some."""


class Story:
    """One run of the demo; a context manager.

    Args:
        client: Connected to the three services.
        console: Where people read along.
        folder: Where files are written.
    """

    def __init__(self, client: Client, console: Console, folder: Path) -> None:
        self._client = client
        self._console = console
        self._folder = folder
        self._stack = ExitStack()
        self._edges: dict[str, EdgeProcess] = {}
        self._figures: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self) -> None:
        """Tell the story; raises DemoError at the first step that does not hold."""
        data = digits.load()
        expected = self._push(data)
        line = self._stack.enter_context(CutLine(self._client.registry.address))
        self._start(line)
        addresses = {name: edge.address for name, edge in self._edges.items()}
        with Traffic(lambda: addresses, MODEL, data.held_out_images, expected) as traffic:
            self._awhile(traffic)
            self._cut_and_promote(line, traffic)
            self._come_back(line, traffic)
            self._roll_back_on_site(line, traffic)
            self._awhile(traffic)
        self._table(traffic)

    def _push(self, data: digits.Digits) -> dict[int, NDArray[np.int64]]:
        self._heading("Two versions in the registry, and an assignment")
        network = digits.train_network(data, lambda _done, _of: None)
        expected: dict[int, NDArray[np.int64]] = {}
        for number, made in enumerate((network, digits.perturb(network, share=0.05)), start=1):
            path = self._folder / f"{number}.safetensors"
            digits.write_network(made, path)
            version = self._client.push(MODEL, path, kind=KIND, reason="demo")
            expected[number] = BinaryNetwork.open(path).run(data.held_out_images)[0]
            self._say(f"version {version.version}: {version.digest}")
        self._client.promote(MODEL, 1, alias=ALIAS, reason="first release")
        self._client.mesh.set_assignment("tier=edge", MODEL, ALIAS, reason="demo")
        self._say(f"every node of tier=edge serves {MODEL}@{ALIAS}, which is version 1")
        return expected

    def _start(self, line: CutLine) -> None:
        self._heading("Two edge nodes dial in")
        for name in SITES:
            edge = EdgeProcess(name, line.address, self._folder / name)
            started = time.perf_counter()
            edge.start()
            self._stack.callback(edge.stop)
            self._edges[name] = edge
            self._await(name, 1)
            self._say(f"{name} at {edge.address} answers {time.perf_counter() - started:.1f} s after its start")
        self._await_converged()

    def _cut_and_promote(self, line: CutLine, traffic: Traffic) -> None:
        self._heading("The line is cut, and version 2 is promoted meanwhile")
        line.cut()
        self._client.promote(MODEL, 2, alias=ALIAS, reason="while nobody listens")
        self._awhile(traffic)
        for name in SITES:
            check(self._serves(name) == 1, f"{name} does not serve version 1 any more")
        self._say("both go on with version 1")
        edge = self._edges["bergen"]
        edge.kill()
        started = time.perf_counter()
        edge.start()
        self._await("bergen", 1)
        self._figures.append(("bergen killed, started without the line, answers", f"{_ms(started):,.0f} ms"))
        self._say(f"bergen was killed with -9; it answers again {_ms(started):,.0f} ms after its start, from its store")
        self._awhile(traffic)

    def _come_back(self, line: CutLine, traffic: Traffic) -> None:
        self._heading("The line is back")
        line.mend()
        started = time.perf_counter()
        for name in SITES:
            self._await(name, 2)
        self._await_converged()
        seconds = time.perf_counter() - started
        self._figures.append(("line back until both have converged", f"{seconds * 1e3:,.0f} ms"))
        self._say(f"both have converged on version 2 after {seconds * 1e3:,.0f} ms")
        self._fleet()
        self._awhile(traffic)

    def _roll_back_on_site(self, line: CutLine, traffic: Traffic) -> None:
        self._heading("Cut again; somebody in oslo rolls back on the node itself")
        line.cut()
        started = time.perf_counter()
        self._edges["oslo"].client.edge.override_alias(MODEL, ALIAS, reason="it misreads sevens here")
        check(self._serves("oslo") == 1, "oslo does not serve version 1")
        self._figures.append(("rollback on the node, without the line", f"{_ms(started):,.1f} ms"))
        self._say(f"oslo serves version 1 after {_ms(started):,.1f} ms, bergen version {self._serves('bergen')}")
        self._awhile(traffic)
        line.mend()
        until(lambda: self._node("oslo").connected and bool(self._node("oslo").figures.overrides), "the fleet shows it")
        check(not self._node("oslo").converged, "oslo counts as converged")
        self._say("the line is back: oslo keeps its version, and the fleet says why")
        self._fleet()
        self._client.rollback(MODEL, alias=ALIAS, reason="oslo was right")
        started = time.perf_counter()
        for name in SITES:
            self._await(name, 1)
        self._await_converged()
        seconds = time.perf_counter() - started
        self._figures.append(("rollback in the registry until both have converged", f"{seconds * 1e3:,.0f} ms"))
        self._say(f"the registry rolls back, its newer word: both have converged after {seconds * 1e3:,.0f} ms")
        self._fleet()

    def _fleet(self) -> None:
        table = Table()
        for name in ("node", "labels", "revision", "serves", "state"):
            table.add_column(name, no_wrap=True)
        for node in self._nodes():
            labels = ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
            aside = "set aside on site" if node.figures.overrides else "behind"
            state = "converged" if node.converged else node.reason or aside
            table.add_row(node.node, labels, str(node.applied_revision), f"version {self._serves(node.node)}", state)
        self._console.print(table)

    def _table(self, traffic: Traffic) -> None:
        self._heading("What the callers saw")
        tally = traffic.tally
        table = Table()
        table.add_column("measure")
        table.add_column("value", justify="right")
        for (edge, version), count in sorted(tally.answered.items()):
            table.add_row(f"answered by {edge} with version {version}", f"{count:,}")
        p50, p99 = np.percentile(tally.microseconds, (50, 99))
        rows = [
            *self._figures,
            ("of a Python caller, p50 and p99", f"{p50:,.0f} and {p99:,.0f} us"),
            ("asked the other edge while bergen was down", f"{tally.elsewhere:,}"),
            ("answers that are not what their version says", f"{tally.wrong:,}"),
            ("requests that failed", f"{len(tally.failed):,} of {traffic.count():,}"),
        ]
        for row in rows:
            table.add_row(*row)
        self._console.print(table)
        check(not tally.failed, f"{len(tally.failed)} requests failed, the first: {tally.failed[:1]}")
        check(not tally.wrong, f"{tally.wrong} answers are not what their version says")

    def _awhile(self, traffic: Traffic) -> None:
        aim = traffic.count() + AWHILE
        until(lambda: traffic.count() >= aim, "callers go on")

    def _await(self, name: str, version: int) -> None:
        until(lambda: self._serves(name) == version, f"{name} serves version {version}")

    def _serves(self, name: str) -> int:
        """Return the version that an edge serves; 0 for none yet."""
        inference = self._edges[name].client.inference
        if not inference.model_ready(MODEL, ALIAS):
            return 0
        return int(inference.model_metadata(MODEL, ALIAS).properties["version"])

    def _await_converged(self) -> None:
        until(lambda: all(node.converged for node in self._nodes()), "all edges have converged")

    def _nodes(self) -> list[Any]:
        return list(self._client.mesh.list_nodes())

    def _node(self, name: str) -> Any:
        return next(node for node in self._nodes() if node.node == name)

    def _heading(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/bold]")

    def _say(self, text: str) -> None:
        self._console.print("  " + text, highlight=False, soft_wrap=True)


def _ms(started: float) -> float:
    return (time.perf_counter() - started) * 1e3
