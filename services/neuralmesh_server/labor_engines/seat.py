"""A place for a process at a worker, what such a process is, and what it has been given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.labor.desk import Lease


class Process(Protocol):
    """What runs shards, one after the other; see `messages` for what is said.

    Attributes:
        pid: Its number, 0 where it is elsewhere.
    """

    pid: int

    def send(self, message: Fact) -> None:
        """Send a message; what is sent to a process that is gone is lost."""

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message; None as soon as the process is gone."""

    async def ended(self) -> str:
        """Return how it ended, once it has."""

    async def end(self) -> None:
        """Have it end, and wait until it has."""


@dataclass(slots=True, eq=False)
class Held:
    """A lease that is held, and how many processes died while it was the oldest that they had."""

    lease: Lease
    deaths: int = 0


@dataclass(slots=True, eq=False)
class Seat:
    """A place for a process.

    Attributes:
        number: Its number.
        process: The process, once it is ready.
        shards: What it has, oldest first, by token.
        jobs: Jobs that it knows.
        done: Shards that it has run or failed in order.
        stillborn: Processes in a row, up to the last one, that did not become ready.
    """

    number: int
    process: Process | None = None
    shards: dict[int, Held] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)
    done: int = 0
    stillborn: int = 0
