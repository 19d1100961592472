"""The history of jobs: events that are stored, and those who wait for the next one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from neuralmesh_server.errors import NotFoundError
from neuralmesh_server.labor.records import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh_server.labor.records import JobEvent
    from neuralmesh_server.labor.store import Store

PAGE = 1000


class Journal:
    """Tells watchers of events. Whoever stores one calls `notify` after the commit.

    Attributes:
        unsaved: Ends of jobs that could not be stored, since there was no space.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = asyncio.Event()
        self._closed = False
        self.unsaved: dict[str, JobEvent] = {}

    def notify(self) -> None:
        """Wake everybody who watches some job."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        """End all watches."""
        self._closed = True
        self.notify()

    async def watch(self, job: str, after: int) -> AsyncIterator[JobEvent]:
        """Yield the events of a job after a number, then those that come, until it has ended.

        Raises:
            NotFoundError: JOB_NOT_FOUND.
        """
        while True:
            changed = self._changed
            known, events = await self._store.read(lambda view: (view.job(job), view.events(job, after, PAGE)))  # noqa: B023
            if known is None:
                raise not_found(job)
            for event in events:
                after = event.event
                yield event
            if events:
                continue
            if known.state in ENDED or self._closed:
                return
            if job in self.unsaved:
                yield replace(self.unsaved[job], event=after + 1)
                return
            await changed.wait()


def not_found(job: str) -> NotFoundError:
    """Return the error of a job that does not exist."""
    return NotFoundError("JOB_NOT_FOUND", f"there is no job jobs/{job}", job=job)
