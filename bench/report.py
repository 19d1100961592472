"""Running the rows of a table one after the other, printing every round at once, and what came of it all."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figures import Rounds, medians
from neuralmesh.exceptions import NeuralMeshError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Check
    from bench.row import Row


@dataclass(slots=True)
class Report:
    """What was printed, and what came of each row.

    Attributes:
        heading: Stands above the rounds of each row.
        targets: Whether the figures are held against targets; else they are only shown.
        quick: The figures are for seeing that the rows work.
        lines: Everything that was printed.
        checks: Targets by row.
        medians: Each side's medians by row.
        failures: Rows that could not be measured, and why.
    """

    heading: str
    targets: bool = True
    quick: bool = False
    lines: list[str] = field(default_factory=list)
    checks: dict[str, list[Check]] = field(default_factory=dict)
    medians: dict[str, list[Any]] = field(default_factory=dict)
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

    def measure(self, row: Row, count: int) -> None:
        """Run a row so many rounds; a failure of any kind is its outcome and keeps no other from being measured."""
        self.say()
        self.say(f"## {row.name}: {row.measure}")
        started = time.monotonic()
        try:
            for fact in row.prepare():
                self.say(fact)
            self._rounds(row, count)
        except Exception as error:  # noqa: BLE001 - whatever a row raises is its outcome
            self.failures[row.name] = f"{type(error).__name__}: {error}"
            self.say(f"COULD NOT BE MEASURED: {self.failures[row.name]}")
            if not isinstance(error, (RuntimeError, NeuralMeshError)):
                traceback.print_exc()  # a defect of the row; what the others say is enough
        for check in self.checks.get(row.name, ()):
            self.say(check.line())
        self.say(f"({time.monotonic() - started:.0f} s{', quick' if self.quick else ''})")

    def close(self, seconds: float) -> None:
        """Print every target again, and what was missed."""
        self.say()
        self.say(f"## every {'target' if self.targets else 'figure'} ({seconds / 60:.1f} minutes)")
        for name, checks in self.checks.items():
            for check in checks:
                self.say(f"{name:10} {check.line()}")
        for name, why in self.failures.items():
            self.say(f"{name:10} COULD NOT BE MEASURED: {why.splitlines()[0]}")
        if self.missed:
            self.say("missed: " + "; ".join(self.missed))
        elif self.targets:
            self.say("every target is met")
        if self.quick:
            self.say("this was a quick run: its figures say that the rows work, and no more")

    def table(self, *, named: bool = False) -> list[str]:
        """Return the figures beside their targets as a table in Markdown; with the rows' names if wanted."""
        lines = ["| measure | measured | target |", "|---|---:|---:|"]
        for name, checks in self.checks.items():
            of = f"`{name}` " if named else ""
            lines += [f"| {of}{check.what} | {check.measured_text} | {check.target_text} |" for check in checks]
        return [*lines, *(f"| {name} | could not be measured | |" for name in self.failures)]

    def output(self) -> str:
        """Return everything that was printed, for a page."""
        return "```\n" + "\n".join(self.lines) + "\n```"

    def _rounds(self, row: Row, count: int) -> None:
        rounds: Rounds[Any] = []
        self.say(self.heading)
        for number in range(1, count + 1):
            rounds.append(list(row.pair(number)))
            for sample in rounds[-1]:
                self.say(sample.line(str(number)))
        self.medians[row.name] = medians(rounds)
        for sample in self.medians[row.name] if count > 1 else ():
            self.say(sample.line("median"))
        checks = row.verdict(rounds)
        self.checks[row.name] = checks if self.targets else [check.untargeted() for check in checks]


def parser(description: str | None, rows: Sequence[type[Row]]) -> argparse.ArgumentParser:
    """Return the options that the commands of all tables take."""

    def names(text: str) -> tuple[str, ...]:
        wanted = tuple(text.split(","))
        unknown = sorted(set(wanted) - {row.name for row in rows})
        if unknown:
            raise argparse.ArgumentTypeError(
                f"no row {', '.join(unknown)}; there are {', '.join(r.name for r in rows)}"
            )
        return wanted

    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", type=names, default=(), metavar="ROW[,ROW]", help=", ".join(row.name for row in rows))
    made.add_argument("--rounds", type=int, default=0, help="at least so many; a row's own number is the least")
    made.add_argument("--write", action="store_true", help="put the output into the documents")
    made.add_argument("--quick", action="store_true", help="one short round, to see that the rows work")
    return made


def machine() -> str:
    """Return the processor's name and the number of processors."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.machine()
    return f"{name}, {os.cpu_count()} processors, Linux {platform.release()}"


def write(page: Path, text: str, mark: str = "bench") -> None:
    """Put a text between two marks of a page."""
    before, begin, rest = page.read_text().partition(f"<!-- {mark} -->")
    _, end, after = rest.partition(f"<!-- /{mark} -->")
    if not begin or not end:
        raise SystemExit(f"{page} has no marks {mark} for the output")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")
