"""How far a job is, live: a bar on standard error where that is a terminal, and nothing where it is not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from neuralmesh_server.cli import labor_narration
from neuralmesh_server.cli.rendering import plain

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class LiveProgress:
    """Shows the events of a job; a context manager.

    Args:
        shown: False shows nothing, whatever standard error is.
    """

    def __init__(self, *, shown: bool = True) -> None:
        self._bar: Any = None
        self._task: Any = None
        if shown and sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - services start without rich
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

            self._bar = Progress(
                TaskProgressColumn(),
                BarColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                console=Console(file=sys.stderr, markup=False, highlight=False),
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("planning: the data is read and hashed", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: Any) -> None:
        """Show an event."""
        if self._bar is None:
            return
        progress = event.progress
        self._bar.update(
            self._task,
            total=progress.rows or None,
            completed=progress.done_rows,
            description=plain(labor_narration.progress_text(progress)),
        )
        if event.message or event.HasField("alarm"):
            text = labor_narration.alarm_text(event.alarm) if event.HasField("alarm") else event.message
            self._bar.console.print(plain(text))
