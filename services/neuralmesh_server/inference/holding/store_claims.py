"""Claims on artifacts among the processes that share a store: one fetches, the others wait and find it done.

A claim is a lock of the system on a file of its own, so that a process which dies gives it up at once. It says nothing
of what is in the store.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.1


class Claims:
    """See neuralmesh_server.inference.holding.artifacts.Claims.

    Args:
        folder: Where the lock files are; it is created with mode 0700. They are empty and stay.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    @asynccontextmanager
    async def claim(self, digest: str) -> AsyncIterator[None]:
        """Hold an artifact's claim; waits while another process holds it."""
        file = os.open(self._folder / digest.removeprefix("sha256:"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            pause = FIRST_PAUSE_SECONDS
            # The system's locks have no event to wait for but in a thread, which could not be cancelled.
            while not _locked(file):
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            yield
        finally:
            os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
