"""The speed table: every row in interleaved rounds of one run, every round printed, each figure beside its target.

`make bench-serving`, or `python bench/serving.py --only empty,swaps --quick`. A row whose feature or peer is absent
fails with what it said. The status is 1 when a target is missed or a row fails; nothing is run again until it passes.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neuralmesh_server.runtime import transport

transport.configure()

import grpc  # noqa: E402 - the transport is configured before grpc is imported
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

from bench import load  # noqa: E402
from bench.answers import HEADING  # noqa: E402
from bench.processes import ROOT, ProcessError  # noqa: E402
from bench.report import Report, machine, parser, write  # noqa: E402
from bench.setting import Setting  # noqa: E402
from bench.table import ROWS  # noqa: E402

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bench.row import Row

QUICK_SHARE = 0.15
SUMMARISED = ("empty", "mlserver", "triton")
"""Rows whose sides are of interest by themselves."""

PREPARATION_SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    report = Report(HEADING, quick=options.quick)
    load.find_h2load()
    _head(report, rows, options)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nm-bench-") as folder:
        setting = Setting(Path(folder), options.quick, report.say)
        try:
            with setting.stack:
                for row in rows:
                    report.measure(row(setting), _rounds(row, options))
        except ProcessError as error:
            report.failures["stopping"] = str(
                error
            )  # a server that does not stop in order is no reason to lose figures
    report.close(time.monotonic() - started)
    if options.write:
        write(ROOT / "docs" / "performance.md", report.output())
        write(ROOT / "README.md", "\n".join(_summary(report)))
    if report.missed:
        sys.exit(1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    made = parser(__doc__, ROWS)
    options = made.parse_args(arguments)
    if options.quick and options.write:
        made.error("--quick gives no figures to write")
    return options


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


def _summary(report: Report) -> list[str]:
    """Return the table for people who read no more than that."""
    lines = ["| one row of digits | clients | answers/s | p50 | p99 | server CPU |", "|---|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {one.side} | {one.clients} | {one.rate:,.0f} | {one.p50_us:,.0f} us | {one.p99_us:,.0f} us "
        f"| {one.cpu_us:.0f} us |"
        for name in SUMMARISED
        for one in report.medians.get(name, ())
    ]
    caption = f"Medians of interleaved rounds on {machine()}, h2load on the same machine."
    return [*lines, "", *report.table(), "", caption]


if __name__ == "__main__":
    main()
