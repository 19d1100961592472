"""The kernel's speed table: rounds in turn on one processor, each figure beside its target and the processor's limit.

`make bench-kernel`, or `python -m bench.kernel --only xnor,pack --quick`. What is timed are calls from Python, so the
binding is part of every figure. Targets are for processors with AVX-512 VPOPCNTDQ and GFNI; at less than the best
level, which `--level` forces, the same table is only shown. The status is 1 when a target is missed or a row fails;
nothing is run again until it passes.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # libraries read it when they are loaded

from neuralmesh_server.runtime import transport  # noqa: E402

transport.configure()

import numpy as np  # noqa: E402 - the transport is configured before grpc is imported

import liam_core  # noqa: E402
from bench.kernel import peers  # noqa: E402
from bench.kernel.setting import KernelSetting  # noqa: E402
from bench.kernel.table import ROWS  # noqa: E402
from bench.kernel.timing import HEADING  # noqa: E402
from bench.processes import ROOT, ProcessError  # noqa: E402
from bench.report import Report, machine, parser, write  # noqa: E402

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bench.row import Row

TARGETED = "gfni"
"""The level that a processor has to run for the targets to be for it."""

PAGE = ROOT / "docs" / "performance.md"
MARK = "bench-kernel"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    report = Report(HEADING, targets=_is_targeted(options.level), quick=options.quick)
    peers.add_folder()
    os.environ["LIAM_SIMD"] = options.level  # of the services that are started
    started = time.monotonic()
    with liam_core.set_level(options.level), tempfile.TemporaryDirectory(prefix="nm-bench-") as folder:
        _head(report, rows, options)
        setting = KernelSetting(Path(folder), options.quick, report.say)
        try:
            with setting.stack:
                for row in rows:
                    report.measure(row(setting), _rounds(row, options))
        except ProcessError as error:  # a server that does not stop in order is no reason to lose figures
            report.failures["stopping"] = str(error)
    report.close(time.monotonic() - started)
    if options.write:
        write(PAGE, "\n".join(["", *report.table(named=True), "", report.output()]), _mark(options.level))
    if report.missed:
        sys.exit(1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    made, found = parser(__doc__, ROWS), liam_core.capabilities()
    made.add_argument("--level", choices=found.supported, default=found.level, help="SIMD level of the kernel")
    options = made.parse_args(arguments)
    if options.write and (options.quick or options.only):
        made.error("--write takes a whole run, of all rows and not --quick")
    return options


def _rounds(row: type[Row], options: argparse.Namespace) -> int:
    return max(1 if options.quick else row.rounds, options.rounds)


def _head(report: Report, rows: Sequence[type[Row]], options: argparse.Namespace) -> None:
    report.say(f"machine: {machine()}")
    report.say(f"level: {options.level}, of {', '.join(liam_core.capabilities().supported)}")
    report.say(f"versions: Python {platform.python_version()}, NumPy {np.__version__}; peers' in their rows")
    if not report.targets:
        report.say(f"no targets: they are for the best level of processors that run {TARGETED}")
    seconds = 0 if options.quick else sum(row.seconds * _rounds(row, options) for row in rows)
    report.say(f"rows: {', '.join(row.name for row in rows)}; about {max(1, round(seconds / 60))} minutes")


def _is_targeted(level: str) -> bool:
    supported = liam_core.capabilities().supported
    return TARGETED in supported and level == supported[-1]


def _mark(level: str) -> str:
    return MARK if _is_targeted(level) else f"{MARK} {level}"


if __name__ == "__main__":
    main()
