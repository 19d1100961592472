"""`python -m neuralmesh_server.demo`: starts the suite in a temporary folder, tells the story, stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import print as say

from neuralmesh_server.demo.stage import tell

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from neuralmesh import Client


def main() -> None:
    """Run the demo; exits with 1 where a step does not hold."""
    seconds = tell(_story)
    say(f"\nDone in {seconds:.0f} s. Now try it yourself: [bold]make up[/bold], then the tour in README.md.")


def _story(client: Client, console: Console, folder: Path) -> None:
    from neuralmesh_server.demo.story import Story  # noqa: PLC0415 - after the transport is configured

    Story(client, console, folder).run()


if __name__ == "__main__":
    main()
