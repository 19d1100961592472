"""The health of models, versions and aliases, under `inference/{model}` and `inference/{model}/{version or alias}`.

It follows the snapshots: a name is known as soon as the registry has the model, version or alias, and serves while the
node would answer a request for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from neuralmesh_server.inference.serving import Serving, Snapshot

PREFIX = "inference/"


class HealthTable(Protocol):
    """Where health is told."""

    def set(self, name: str, *, serving: bool) -> None:
        """Set the health of a name."""

    def forget(self, name: str) -> None:
        """Know a name no more."""


class ModelHealth:
    """Keeps a health table as the snapshots say."""

    def __init__(self, serving: Serving, table: HealthTable) -> None:
        self._serving = serving
        self._table = table
        self._told: dict[str, bool] = {}

    async def run(self) -> None:
        """Follow until cancelled."""
        last: Snapshot | None = None
        while True:
            last = await self._serving.when(lambda snapshot, last=last: snapshot is not last)  # type: ignore[misc]
            self._tell(health(last))

    def _tell(self, current: dict[str, bool]) -> None:
        for name in self._told.keys() - current.keys():
            self._table.forget(name)
        for name, serving in current.items():
            if self._told.get(name) is not serving:
                self._table.set(name, serving=serving)
        self._told = current


def health(snapshot: Snapshot) -> dict[str, bool]:
    """Return whether each name would be answered."""
    routes = snapshot.routes
    found = {f"{PREFIX}{model}": (model, "") in routes for model in snapshot.models}
    found |= {f"{PREFIX}{model}/{version}": (model, str(version)) in routes for model, version in snapshot.states}
    return found | {f"{PREFIX}{model}/{alias}": (model, alias) in routes for model, alias in snapshot.targets}
