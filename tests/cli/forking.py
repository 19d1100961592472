"""Runs commands of the program in children of a process that has imported the program already.

Each command still has a process of its own, with its own environment, standard streams and exit code, but not the 0.3
seconds of imports that a new interpreter spends: there are hundreds of commands in these tests. What the start of the
program itself promises is tested with `processes.PROGRAM`.

    python -m tests.cli.forking     reads [arguments, environment, files for output and errors] a line, answers the
                                    exit code a line
"""

from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import NoReturn

SECONDS = 60
"""A command that takes longer is ended by SIGALRM."""


class Forking:
    """The process that is forked for each command; `close` ends it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.forking"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        self._folder = tempfile.TemporaryDirectory()

    def run(self, arguments: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; returns its exit code, output and errors."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        files = [str(Path(self._folder.name) / name) for name in ("output", "errors")]
        process.stdin.write(json.dumps([arguments, environment, files]) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *(Path(name).read_text() for name in files))

    def close(self) -> None:
        """End the process and let go of its files."""
        self._process.communicate()
        self._folder.cleanup()


def _become(arguments: list[str], environment: dict[str, str], files: list[str]) -> NoReturn:
    """Run a command in this process as if it had been started for it, and exit with its code."""
    import signal

    from neuralmesh_server.cli import main

    signal.alarm(SECONDS)
    for descriptor, name in zip((1, 2), files, strict=True):
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    grpc_runs_with = {name: value for name, value in os.environ.items() if name.startswith("GRPC_")}
    os.environ.clear()
    os.environ.update(environment | grpc_runs_with)
    main(arguments)
    sys.exit(0)


def serve() -> None:
    """Fork a child for each line until there are no more."""
    from neuralmesh_server.runtime import transport

    transport.configure()
    # What commands import when they run; none of it starts a thread or opens a connection.
    import rich.console
    import rich.progress
    import rich.table  # noqa: F401 - for the children

    import neuralmesh.exceptions
    import neuralmesh.rollout  # noqa: F401 - for the children
    from neuralmesh import Client  # noqa: F401 - for the children
    from neuralmesh_server.cli import main

    # What the command line is built of is known from the first command on; this one goes no further than its flags.
    with redirect_stderr(io.StringIO()), suppress(SystemExit):
        main(["models", "--timeout", "soon"])
    gc.freeze()
    nothing = os.open(os.devnull, os.O_RDONLY)
    while line := sys.stdin.readline():
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os.dup2(nothing, 0)
            _become(*request)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
