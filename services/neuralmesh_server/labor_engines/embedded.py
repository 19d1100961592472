"""The pool within the labor service, with a registry link of its own: `neuralmesh labor serve --workers N`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh import AsyncClient
from neuralmesh_server.inference.holding.link_registry import GrpcRegistry
from neuralmesh_server.labor_engines.pool import Pool
from neuralmesh_server.labor_engines.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from neuralmesh_server.labor.desk import Desk


class EmbeddedEngine:
    """See neuralmesh_server.labor.engine.Engine.

    Args:
        desk: Where work comes from and results go.
        options: Arguments of a client that reaches the registry.
        folder: Where files of versions and of results on their way are kept; on the file system of the store.
        processes: How many run shards.
    """

    def __init__(self, desk: Desk, options: Mapping[str, Any], folder: Path, processes: int) -> None:
        self._desk = desk
        self._options = options
        self._folder = folder
        self._processes = processes

    async def run(self) -> None:
        """Work until cancelled."""
        async with AsyncClient(**self._options) as client:
            versions = Versions(self._folder / "versions", GrpcRegistry(client, "labor"))
            await Pool(self._desk, versions, self._folder / "results", self._processes).run()
