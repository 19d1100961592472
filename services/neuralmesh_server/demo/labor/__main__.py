"""`python -m neuralmesh_server.demo.labor`: one job on one worker, two, two of which one is killed, and Dask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.demo.stage import tell

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from neuralmesh import Client


def main() -> None:
    """Run the demo; exits with 1 where a step does not hold."""
    seconds = tell(_story)
    print(f"\nDone in {seconds:.0f} s. docs/labor.md says how to run jobs of your own.")  # noqa: T201


def _story(client: Client, console: Console, folder: Path) -> None:
    from neuralmesh_server.demo.labor.story import Story  # noqa: PLC0415 - after the transport is configured

    Story(client, console, folder).run()


if __name__ == "__main__":
    main()
