"""What every demo stands on: the suite as three processes in a temporary folder, a client, and an exit code.

Exit 0 says that every step did what it claims.
"""

from __future__ import annotations

import getpass
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from neuralmesh_server.runtime import transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neuralmesh import Client

SERVICES = ("registry", "inference", "metrics")


class DemoError(Exception):
    """A step did not do what it says."""


def tell(story: Callable[[Client, Console, Path], None]) -> float:
    """Tell a story with a client of a suite of its own, a console and a folder; returns the seconds that it took.

    Where a step does not hold, the process exits with 1.
    """
    transport.configure()
    # After the transport is configured, because it imports grpc.
    from neuralmesh import Client, exceptions  # noqa: PLC0415

    console = Console(highlight=False)
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="neuralmesh-demo-") as name:
            folder = Path(name)
            with running_suite(folder / "data") as addresses:
                listening = ", ".join(f"{service} {address}" for service, address in addresses.items())
                console.print(f"Three services as three processes: {listening}", soft_wrap=True)
                with Client(
                    registry=addresses["registry"],
                    inference=addresses["inference"],
                    metrics=addresses["metrics"],
                    actor=getpass.getuser(),
                ) as client:
                    story(client, console, folder)
    except (DemoError, exceptions.NeuralMeshError) as error:
        console.print(f"[bold red]the demo failed:[/bold red] {error}")
        sys.exit(1)
    return time.perf_counter() - started


@contextmanager
def running_suite(data: Path) -> Iterator[dict[str, str]]:
    """Run `neuralmesh up` on free ports; gives the services' addresses and stops everything at the end."""
    command = [sys.executable, "-m", "neuralmesh_server", "up", "--ephemeral", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as suite:  # noqa: S603 - our own command
        try:
            addresses: dict[str, str] = {}
            assert suite.stdout is not None
            for line in suite.stdout:
                words = line.split()
                if len(words) == 2 and words[0] in SERVICES:
                    addresses[words[0]] = words[1]
                if len(addresses) == len(SERVICES):
                    break
            else:
                raise DemoError("the services did not start")
            yield addresses
        finally:
            suite.terminate()
            suite.communicate()


def check(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise DemoError with what is otherwise so."""
    if not holds:
        raise DemoError(otherwise)


def until(holds: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Ask again until a condition holds; a client has no other way to learn it."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise DemoError(f"{seconds:.0f} seconds passed and it is still not so that {what}")
        time.sleep(0.02)


def serve(client: Client, model: str, path: Path, *, kind: str, reason: str) -> int:
    """Push a file, point the alias `production` at it, wait until the node answers with it; returns the version."""
    number = int(client.push(model, path, kind=kind, reason=reason).version)
    client.promote(model, number, reason=reason)

    def serves() -> bool:
        if not client.inference.model_ready(model, "production"):
            return False
        return bool(client.inference.model_metadata(model, "production").properties["version"] == str(number))

    until(serves, f"the node serves version {number} of {model}")
    return number
