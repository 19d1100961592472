"""Engines within the labor service's own process, by its settings: processes of this machine, or Dask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from neuralmesh import AsyncClient
from neuralmesh_server.inference.holding.link_registry import GrpcRegistry
from neuralmesh_server.labor.link_registry import client_options
from neuralmesh_server.labor_engines.pool import Pool
from neuralmesh_server.labor_engines.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuralmesh_server.labor.desk import Desk
    from neuralmesh_server.labor.engine import MakeEngine
    from neuralmesh_server.settings_labor import LaborSettings

LOCAL = "local"
"""The address that stands for a cluster of Dask in processes of this machine."""


class Works(Protocol):
    """What pulls leases from a desk."""

    async def run(self) -> None:
        """Work until cancelled."""


class ServiceEngine:
    """An engine of the service, with a connection of its own to the registry.

    Args:
        settings: The service's.
        make: Makes what works, of versions and a folder for files of results.

    Attributes:
        works: What works, once it does.
    """

    def __init__(self, settings: LaborSettings, make: Callable[[Versions, Path], Works]) -> None:
        self._settings = settings
        self._make = make
        self.works: Works | None = None

    async def run(self) -> None:
        """See neuralmesh_server.labor.engine.Engine."""
        folder = self._settings.data / "engine"
        async with AsyncClient(**client_options(self._settings)) as client:
            versions = Versions(folder / "versions", GrpcRegistry(client, "labor"))
            self.works = self._make(versions, folder / "results")
            await self.works.run()


def engines(settings: LaborSettings, *, give_up: bool = False) -> list[MakeEngine]:
    """Return what runs shards in the service's process; with `give_up`, it ends where no process starts."""
    if settings.dask:
        return [lambda desk: ServiceEngine(settings, lambda versions, folder: _dask(settings, desk, versions, folder))]
    if settings.workers:
        workers = settings.workers
        return [
            lambda desk: ServiceEngine(
                settings, lambda versions, folder: Pool(desk, versions, folder, workers, give_up=give_up)
            )
        ]
    return []


def _dask(settings: LaborSettings, desk: Desk, versions: Versions, folder: Path) -> Works:
    from neuralmesh_server.labor_engines.dask_engine import DaskEngine  # noqa: PLC0415 - an extra

    address = "" if settings.dask == LOCAL else settings.dask
    return DaskEngine(desk, versions, folder, address=address, workers=settings.workers or 2)
