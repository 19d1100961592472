"""The embedded engine: processes of this machine, each a worker of its own, so that one can contradict another."""

from __future__ import annotations

import asyncio
import functools
import secrets
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from neuralmesh_server.labor.desk import WorkerCard
from neuralmesh_server.labor_engines.process import MODULE, LocalProcess
from neuralmesh_server.labor_engines.station import StartError, Station
from neuralmesh_server.numerics import known_numerics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from neuralmesh_server.labor.desk import Desk
    from neuralmesh_server.labor_engines.versions import Versions


def card(name: str, slots: int = 1) -> WorkerCard:
    """Return the card of a worker on this machine, with a new incarnation."""
    return WorkerCard(name, secrets.token_hex(8), socket.gethostname(), slots, known_numerics())


def starter(
    folder: Path, environment: Mapping[str, str] | None = None, module: str = MODULE
) -> Callable[[], Awaitable[LocalProcess]]:
    """Return what starts processes on this machine that leave files of results in a folder."""
    return functools.partial(LocalProcess.start, folder, environment, module)


def empty_folder(folder: Path) -> None:
    """Make a folder for files of results, or empty it of those that ended processes have left."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.iterdir():
        left.unlink()


class Pool:
    """Runs shards in processes of this machine; belongs to the loop.

    Args:
        desk: Where work comes from and results go.
        versions: Where files of versions are.
        folder: For files of results on their way; best on the file system of the store.
        processes: How many.
        name: What the names of the workers begin with.
        environment: Environment of the processes; that of this one by default.
        module: What the processes run.
        give_up: See Station; the pool gives up when all of its workers have.

    Attributes:
        stations: The workers.
    """

    def __init__(
        self,
        desk: Desk,
        versions: Versions,
        folder: Path,
        processes: int,
        *,
        name: str = "local",
        environment: Mapping[str, str] | None = None,
        module: str = MODULE,
        give_up: bool = False,
    ) -> None:
        empty_folder(folder)
        own, start = card(name), starter(folder, environment, module)
        self.stations = [
            Station(
                desk,
                replace(own, name=f"{name}-{number}"),
                versions,
                folder,
                start,
                give_up=give_up,
            )
            for number in range(1, processes + 1)
        ]

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes that run."""
        return [pid for station in self.stations for pid in station.pids]

    @property
    def crashing(self) -> str:
        """Why processes end before they have done anything; empty while they do not."""
        return next((station.crashing for station in self.stations if station.crashing), "")

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            StartError: With `give_up`: no process of any worker becomes ready.
        """
        gave_up: list[StartError] = []

        async def work(station: Station) -> None:
            try:
                await station.run()
            except StartError as error:
                gave_up.append(error)

        async with asyncio.TaskGroup() as group:
            for station in self.stations:
                group.create_task(work(station))
        if gave_up:
            raise gave_up[-1]
