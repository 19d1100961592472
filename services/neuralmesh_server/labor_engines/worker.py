"""A worker that pulls over gRPC: `neuralmesh labor worker`, on plain hosts, in Kubernetes Jobs, under Slurm."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any

import structlog
import uvloop

from neuralmesh import AsyncClient
from neuralmesh_server.data_folder import DataFolder
from neuralmesh_server.inference.holding.link_registry import GrpcRegistry
from neuralmesh_server.labor_engines.link_desk import GrpcDesk
from neuralmesh_server.labor_engines.pool import card, empty_folder, starter
from neuralmesh_server.labor_engines.station import Station
from neuralmesh_server.labor_engines.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = structlog.get_logger()


def work(options: Mapping[str, Any], *, name: str, slots: int, folder: Path, idle_seconds: float | None = None) -> None:
    """Work until a signal stops it, or until there was nothing to do for long enough.

    Prints one line, `working NAME for ADDRESS`, as soon as it asks for work.

    Args:
        options: Arguments of a client: where the services are, and how they are called.
        name: Name of the worker, `[a-z][a-z0-9-]{0,62}`.
        slots: Processes, each of which runs a shard.
        folder: What it keeps: files of versions, which other workers of the machine may share.
        idle_seconds: Without work for this long, it returns; None for never.

    Raises:
        neuralmesh_server.settings.SettingsError: Another worker of this name uses the folder.
        neuralmesh_server.labor_engines.station.StartError: With `idle_seconds`: its processes do not start.
    """
    uvloop.run(_work(options, name, slots, folder, idle_seconds))


async def _work(options: Mapping[str, Any], name: str, slots: int, folder: Path, idle_seconds: float | None) -> None:
    own = DataFolder(folder / "workers" / name, f"worker {name!r}")
    client = AsyncClient(**options)
    try:
        results = folder / "workers" / name / "results"
        empty_folder(results)
        versions = Versions(folder, GrpcRegistry(client, name))
        station = Station(
            GrpcDesk(client),
            card(name, slots),
            versions,
            results,
            starter(results),
            idle_seconds=idle_seconds,
            give_up=idle_seconds is not None,  # whoever waits for its end does not wait for ever
        )
        log.info("labor_worker_started", worker=name, slots=slots, service=options["labor"])
        sys.stdout.write(f"working {name} for {options['labor']}\n")
        sys.stdout.flush()
        await _until_signal(station)
    finally:
        await client.close()
        own.close()


async def _until_signal(station: Station) -> None:
    running = asyncio.create_task(station.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
