"""Says in the log that callers were refused for want of a token or a role, at most once a second whoever knocks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.errors import NeuralMeshError

log = structlog.get_logger()

QUIET_SECONDS = 1.0


class Refusals:
    """Counts refused calls.

    Args:
        clock: Returns seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_at = clock()
        self._count = 0

    def note(self, error: NeuralMeshError) -> None:
        """Count a refusal; a line tells the newest one, and how many there were since the line before."""
        self._count += 1
        now = self._clock()
        if now < self._next_at:
            return
        log.warning("calls_refused", count=self._count, reason=error.reason, why=error.message)
        self._count = 0
        self._next_at = now + QUIET_SECONDS
