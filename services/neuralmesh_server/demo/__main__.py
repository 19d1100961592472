"""`python -m neuralmesh_server.demo`: starts the suite in a temporary folder, tells the story, stops it.

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
    from collections.abc import Iterator

SERVICES = ("registry", "inference", "metrics")


def main() -> None:
    """Run the demo; exits with 1 where a step does not hold."""
    transport.configure()
    # After the transport is configured, because both import grpc.
    from neuralmesh import Client, exceptions  # noqa: PLC0415
    from neuralmesh_server.demo.story import DemoError, Story  # noqa: PLC0415

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
                    Story(client, console, folder).run()
    except (DemoError, exceptions.NeuralMeshError) as error:
        console.print(f"[bold red]the demo failed:[/bold red] {error}")
        sys.exit(1)
    console.print(
        f"\nDone in {time.perf_counter() - started:.0f} s. Now try it yourself: [bold]make up[/bold], then the tour in "
        "README.md."
    )


@contextmanager
def running_suite(data: Path) -> Iterator[dict[str, str]]:
    """Run `neuralmesh up` on free ports; gives the services' addresses and stops everything at the end."""
    from neuralmesh_server.demo.story import DemoError  # noqa: PLC0415 - imports what the transport must precede

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


if __name__ == "__main__":
    main()
