"""The speed table: every row in interleaved rounds of one run, every round printed, each figure beside its target.

`make bench-serving`, or `python bench/serving.py --only empty,swaps --quick`. A row whose feature or peer is absent
fails with what it said. The status is 1 when a target is missed or a row fails; nothing is run again until it passes.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neuralmesh_server.runtime import transport

transport.configure()

import grpc  # noqa: E402 - the transport is configured before grpc is imported
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

from bench import load  # noqa: E402
from bench.figures import HEADING, Check, Rounds, Sample, medians  # noqa: E402
from bench.processes import ROOT, ProcessError  # noqa: E402
from bench.setting import Setting  # noqa: E402
from bench.table import ROWS  # noqa: E402
from neuralmesh.exceptions import NeuralMeshError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.row import Row

QUICK_SHARE = 0.15
SUMMARISED = ("empty", "mlserver", "triton")
"""Rows whose sides are of interest by themselves."""

PREPARATION_SECONDS = 60.0


@dataclass(slots=True)
class Report:
    """What was printed, and what came of each row.

    Attributes:
        lines: Everything that was printed.
        checks: Targets by row.
        medians: Each side's medians by row.
        failures: Rows that could not be measured, and why.
    """

    lines: list[str] = field(default_factory=list)
    checks: dict[str, list[Check]] = field(default_factory=dict)
    medians: dict[str, list[Sample]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def say(self, text: str = "") -> None:
        """Print a line at once and keep it."""
        self.lines.append(text)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    @property
    def missed(self) -> list[str]:
        """Name what is not as demanded."""
        missed = [check.what for checks in self.checks.values() for check in checks if not check.met]
        return [*missed, *(f"{name} could not be measured" for name in self.failures)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    report = Report()
    load.find_h2load()
    _head(report, rows, options)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nm-bench-") as folder:
        setting = Setting(Path(folder), options.quick, report.say)
        try:
            with setting.stack:
                for row in rows:
                    _measure(row(setting), setting, report, _rounds(row, options))
        except ProcessError as error:
            report.failures["stopping"] = str(
                error
            )  # a server that does not stop in order is no reason to lose figures
    _tail(report, time.monotonic() - started)
    if options.quick:
        report.say("this was a quick run: its figures say that the rows work, and no more")
    if options.write:
        _write(ROOT / "docs" / "performance.md", "```\n" + "\n".join(report.lines) + "\n```")
        _write(ROOT / "README.md", "\n".join(_summary(report)))
    if report.missed:
        sys.exit(1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_names, default=(), metavar="ROW[,ROW]", help=", ".join(r.name for r in ROWS))
    parser.add_argument("--rounds", type=int, default=0, help="at least so many; a row's own number is the least")
    parser.add_argument("--write", action="store_true", help="put the output into docs/performance.md and README.md")
    parser.add_argument("--quick", action="store_true", help="one round and few requests, to see that the rows work")
    options = parser.parse_args(arguments)
    if options.quick and options.write:
        parser.error("--quick gives no figures to write")
    return options


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = sorted(set(names) - {row.name for row in ROWS})
    if unknown:
        raise argparse.ArgumentTypeError(f"no row {', '.join(unknown)}; there are {', '.join(r.name for r in ROWS)}")
    return names


def _rounds(row: type[Row], options: argparse.Namespace) -> int:
    if options.quick:
        least = 3 if row.name == "growth" else 1  # growth compares its rounds with one another
        return max(least, options.rounds)
    return max(row.rounds, options.rounds)


def _head(report: Report, rows: Sequence[type[Row]], options: argparse.Namespace) -> None:
    share = QUICK_SHARE if options.quick else 1.0
    seconds = PREPARATION_SECONDS + sum(row.seconds * _rounds(row, options) * share for row in rows)
    report.say(f"machine: {machine()}")
    report.say(f"versions: Python {platform.python_version()}, grpcio {grpc.__version__}, NumPy {np.__version__},")
    report.say(f"          onnxruntime {onnxruntime.__version__}, {load.version()}")
    report.say(f"rows: {', '.join(row.name for row in rows)}; about {seconds / 60:.0f} minutes")


def _measure(row: Row, setting: Setting, report: Report, count: int) -> None:
    """Run a row; a failure of any kind is the row's outcome and does not keep the others from being measured."""
    report.say()
    report.say(f"## {row.name}: {row.measure}")
    started = time.monotonic()
    try:
        for fact in row.prepare():
            report.say(fact)
        rounds: Rounds = []
        report.say(HEADING)
        for number in range(1, count + 1):
            rounds.append(row.pair(number))
            for sample in rounds[-1]:
                report.say(sample.line(str(number)))
        report.medians[row.name] = medians(rounds)
        for sample in report.medians[row.name] if count > 1 else ():
            report.say(sample.line("median"))
        report.checks[row.name] = row.verdict(rounds)
    except Exception as error:  # noqa: BLE001 - whatever a row raises is its outcome
        report.failures[row.name] = f"{type(error).__name__}: {error}"
        report.say(f"COULD NOT BE MEASURED: {report.failures[row.name]}")
        if not isinstance(error, (RuntimeError, NeuralMeshError)):
            traceback.print_exc()  # a defect of the row; what the others say is enough
    for check in report.checks.get(row.name, ()):
        report.say(check.line())
    report.say(f"({time.monotonic() - started:.0f} s{', quick' if setting.quick else ''})")


def _tail(report: Report, seconds: float) -> None:
    report.say()
    report.say(f"## every target ({seconds / 60:.1f} minutes)")
    for name, checks in report.checks.items():
        for check in checks:
            report.say(f"{name:10} {check.line()}")
    for name, why in report.failures.items():
        report.say(f"{name:10} COULD NOT BE MEASURED: {why.splitlines()[0]}")
    report.say("missed: " + "; ".join(report.missed) if report.missed else "every target is met")


def _summary(report: Report) -> list[str]:
    """Return the table for people who read no more than that."""
    lines = ["| one row of digits | clients | answers/s | p50 | p99 | server CPU |", "|---|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {one.side} | {one.clients} | {one.rate:,.0f} | {one.p50_us:,.0f} us | {one.p99_us:,.0f} us "
        f"| {one.cpu_us:.0f} us |"
        for name in SUMMARISED
        for one in report.medians.get(name, ())
    ]
    lines += ["", "| measure | measured | target |", "|---|---:|---:|"]
    for checks in report.checks.values():
        lines += [f"| {check.what} | {check.measured_text} | {check.target_text} |" for check in checks]
    lines += [f"| {name} | could not be measured | |" for name in report.failures]
    return [*lines, "", f"Medians of interleaved rounds on {machine()}, h2load on the same machine."]


def machine() -> str:
    """Return the processor's name and the number of processors."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.machine()
    return f"{name}, {os.cpu_count()} processors, Linux {platform.release()}"


def _write(page: Path, text: str) -> None:
    """Put a text between the marks of a page."""
    before, begin, rest = page.read_text().partition("<!-- bench -->")
    _, end, after = rest.partition("<!-- /bench -->")
    if not begin or not end:
        raise SystemExit(f"{page} has no marks for the output")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


if __name__ == "__main__":
    main()
