"""The suite without load: memory of the idle services, and the time from typing `neuralmesh up` to first answers."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.figures import most
from bench.processes import SERVICES, Suite
from bench.start_time import first_answer_seconds

if TYPE_CHECKING:
    from bench.answers import Answers
    from bench.figures import Check, Rounds
    from bench.setting import Setting

MIB = 2**20


class Starting:
    """Under 300 MB and under 3 seconds."""

    name = "start"
    measure = "three services idle, and `neuralmesh up` until all have answered"
    rounds = 3
    seconds = 4.0

    def __init__(self, setting: Setting) -> None:
        self._folder = setting.folder / "start"
        self._seconds: list[float] = []
        self._resident: list[float] = []

    def prepare(self) -> list[str]:
        """Prepare nothing: what is measured is the start."""
        self._folder.mkdir()
        return ["resident memory counts pages that the three share each time"]

    def pair(self, number: int) -> list[Answers]:
        """Start the suite twice: once by its command, once to look at the memory."""
        self._seconds.append(first_answer_seconds(self._folder / f"up-{number}"))
        folder = self._folder / f"idle-{number}"
        folder.mkdir()
        with Suite(folder) as suite:
            self._resident.append(sum(suite.processes[name].memory().rss for name in SERVICES) / MIB)
        return []

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Hold the medians against the targets."""
        del rounds
        return [
            most("three services idle, resident", statistics.median(self._resident), 300, "MB"),
            most("`neuralmesh up` to first answers", statistics.median(self._seconds), 3.0, "s"),
        ]
