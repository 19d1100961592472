"""The labor array's speed table: whole jobs beside bare loops and plain Dask, each figure beside its target.

`make bench-labor`, or `python -m bench.labor --only bare,cached --quick`. The status is 1 when a target is missed or a
row fails; nothing is run again until it passes.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from neuralmesh_server.runtime import transport

transport.configure()

from bench.labor.duration import HEADING  # noqa: E402 - the transport is configured before grpc is imported
from bench.labor.setting import LaborSetting  # noqa: E402
from bench.labor.table import ROWS  # noqa: E402
from bench.processes import ROOT, ProcessError  # noqa: E402
from bench.report import Report, machine, parser, write  # noqa: E402
from liam_core import capabilities  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = ROOT / "docs" / "performance.md"
MARK = "bench-labor"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    made = parser(__doc__, ROWS)
    options = made.parse_args(arguments)
    if options.write and (options.quick or options.only):
        made.error("--write takes a whole run, of all rows and not --quick")
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    report = Report(HEADING, quick=options.quick)
    report.say(f"machine: {machine()}; kernel at {capabilities().level}")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("numpy", "pyarrow", "blake3", "distributed"))
    report.say(f"versions: Python {platform.python_version()}, {versions}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nm-labor-") as folder:
        setting = LaborSetting(Path(folder), options.quick, report.say)
        try:
            with setting.stack:
                for row in rows:
                    report.measure(row(setting), 1 if options.quick else max(row.rounds, options.rounds))
        except ProcessError as error:  # a server that does not stop in order is no reason to lose figures
            report.failures["stopping"] = str(error)
    report.close(time.monotonic() - started)
    if options.write:
        write(PAGE, "\n".join(["", *report.table(named=True), "", report.output()]), MARK)
    if report.missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
