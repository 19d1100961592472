"""The README's tour, typed line by line into a shell."""

import os
import queue
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.processes import ROOT, Suite

NOT_READY = 4  # the documented exit code of "not ready yet": a person types slower than a node loads a version
MARK = "__status__"


class Shell:
    """A bash that is typed into."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, line: str, seconds: float = 60.0) -> tuple[int, str]:
        """Type a line; returns its status and what it printed."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\necho {MARK} $?\n")
        self._process.stdin.flush()
        printed: list[str] = []
        while True:
            text = self._lines.get(timeout=seconds)
            before, found, status = text.partition(f"{MARK} ")
            printed.append(before if found else text)
            if found:
                return int(status), "".join(printed)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in a folder that looks like the clone, with services of its own behind it."""
    for name in (".venv", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    with Suite(tmp_path) as suite:
        env = {**os.environ, **{f"NEURALMESH_{name.upper()}": address for name, address in suite.addresses.items()}}
        typed = Shell(tmp_path, env)
        yield typed
        typed.close()


def tour() -> list[str]:
    (block,) = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return block.splitlines()


def test_tour_has_25_lines_at_most() -> None:
    """The tour stays short."""
    assert 10 <= len(tour()) <= 25


def test_tour(shell: Shell) -> None:
    """Every line of the tour works as it is typed, and the last ones say what the tour promised."""
    printed = {}
    for line in tour():
        deadline = time.monotonic() + 20
        status, text = shell.type(line)
        while status == NOT_READY and time.monotonic() < deadline:
            status, text = shell.type(line)
        assert status == 0, f"{line}\n{text}"
        printed[line.split("#")[0].strip()] = text
    trace = printed['neuralmesh trace "$ID"']
    assert "all bits" in trace or "a fraction of the cost" in trace
    assert "second thoughts" in next(text for line, text in printed.items() if line.startswith("neuralmesh history"))
    assert "digits" in printed["neuralmesh top"]
    assert "identical" in printed['neuralmesh replay "$ID"'].lower()


def test_links() -> None:
    """Relative links of the README and the documentation lead to files."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
