"""Generates the synchronous Python client from the asynchronous one, so that the two never differ.

Every module of `neuralmesh/_async` becomes one of `neuralmesh/_sync` by replacing tokens, then runs through ruff.
`--check` changes nothing and fails when the committed modules are not what would be generated.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tokenize
from pathlib import Path

CLIENT = Path(__file__).resolve().parent.parent / "clients" / "python" / "src" / "neuralmesh"

NAMES = {
    "AsyncIterator": "Iterator",
    "AsyncIterable": "Iterable",
    "AsyncClient": "Client",
    "AsyncConnection": "Connection",
    "AsyncRegistry": "Registry",
    "AsyncMesh": "Mesh",
    "AsyncLabor": "Labor",
    "AsyncLaborWorker": "LaborWorker",
    "AsyncMetrics": "Metrics",
    "AsyncInference": "Inference",
    "AsyncNode": "Node",
    "AsyncEdge": "Edge",
    "_async": "_sync",
    "offload_async": "offload_sync",
    "pause_async": "pause_sync",
    "answered_async": "answered_sync",
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "anext": "next",
    "aiter": "iter",
    "StopAsyncIteration": "StopIteration",
}
"""Names that differ between the two."""

DROPPED = ("async", "await")
"""Keywords that go, together with the space behind them."""

FOLDER_DOCSTRING = '"""The synchronous client, generated from `_async` by tools/unasync.py; never edited."""\n'
HEADER = """\
# Generated from _async/{name} by tools/unasync.py; never edited.
# ruff: noqa: UP028, PYI016, RET504, TRY300, RUF100, E501
"""


def convert(source: str) -> str:
    """Return the synchronous form of a module; strings and comments stay as they are.

    Raises:
        ValueError: The module uses asyncio directly, which has no synchronous form here.
    """
    lines = source.splitlines(keepends=True)
    edits: list[tuple[int, int, int, str]] = []
    previous = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        (row, start), (_, end) = token.start, token.end
        if token.type != tokenize.NAME:
            previous = token.string
            continue
        if token.string == "asyncio":
            raise ValueError(f"line {row}: asyncio has no synchronous form; use neuralmesh._offload")
        if token.string in DROPPED:
            edits.append((row, start, end + 1, ""))
        elif token.string == "aio" and previous == ".":
            edits.append((row, start - 1, end, ""))
        elif token.string in NAMES:
            edits.append((row, start, end, NAMES[token.string]))
        previous = token.string
    for row, start, end, text in reversed(edits):
        line = lines[row - 1]
        lines[row - 1] = line[:start] + text + line[end:]
    return "".join(lines)


def generated() -> dict[str, str]:
    """Return the text of every module of `_sync` by its name."""
    texts = {"__init__.py": FOLDER_DOCSTRING}
    for path in sorted((CLIENT / "_async").glob("*.py")):
        if path.name != "__init__.py":
            texts[path.name] = _formatted(HEADER.format(name=path.name) + convert(path.read_text()))
    return texts


def differences() -> list[str]:
    """Return the names of the modules of `_sync` that are not what would be generated."""
    wanted = generated()
    present = {path.name: path.read_text() for path in (CLIENT / "_sync").glob("*.py")}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def write() -> None:
    """Write `_sync`, without modules that have no source any more."""
    folder = CLIENT / "_sync"
    folder.mkdir(exist_ok=True)
    texts = generated()
    for path in folder.glob("*.py"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text)


def _formatted(text: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        [*ruff, "check", "--quiet", "--fix", "--exit-zero", "--select", "I,F401", "--stdin-filename"],
        [*ruff, "format", "--quiet", "--stdin-filename"],
    ):
        name = str(CLIENT / "_sync" / "generated.py")
        # ruff of this environment, on a text of this repository
        done = subprocess.run([*command, name, "-"], input=text, text=True, capture_output=True, check=True)  # noqa: S603
        text = done.stdout
    return text


def main() -> int:
    """Generate, or check with --check; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the modules are not current")
    if not parser.parse_args().check:
        write()
        return 0
    stale = differences()
    if stale:
        sys.stderr.write(f"not current: {', '.join(stale)}; run tools/unasync.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
