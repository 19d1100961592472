"""What runs shards within the service's own process, as far as the service sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from neuralmesh_server.labor.desk import Desk


class Engine(Protocol):
    """Pulls leases from a desk and gives results, until it is cancelled."""

    async def run(self) -> None:
        """Work until cancelled; an end or an error is the end of the service."""


MakeEngine = Callable[[Desk], Engine]
"""Makes an engine that works for a desk."""
