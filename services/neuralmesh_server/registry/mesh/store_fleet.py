"""The fleet in SQLite: one document a node, in a file of its own, so that it is no part of the log and its backups.

A power failure may take the newest. The whole file may be deleted: nodes that come back are known again.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from neuralmesh_server.registry.mesh.nodes import Figures, Node, Outcome, Override
from neuralmesh_server.sqlite_engine import SqliteEngine

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

_STEPS = ("CREATE TABLE nodes (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT, WITHOUT ROWID;",)
_DIGESTS = ("state_digest", "desired_digest")


class SqliteFleetStore:
    """See `fleet.FleetStore`.

    Args:
        path: The database file; it is created where it does not exist.

    Raises:
        SettingsError: The file is no database, is damaged, or was written by a later release.
    """

    def __init__(self, path: Path) -> None:
        self._engine: SqliteEngine[apsw.Connection, apsw.Connection] = SqliteEngine(
            path, _STEPS, _same, _same, synchronous="NORMAL", readers=1
        )

    async def load(self) -> list[Node]:
        """Return every node."""
        return await self._engine.read(
            lambda connection: [
                _node(json.loads(row[0])) for row in connection.execute("SELECT document FROM nodes ORDER BY name")
            ]
        )

    async def save(self, nodes: list[Node]) -> None:
        """Keep nodes in the place of those of their names."""
        rows = [(node.name, json.dumps(_document(node))) for node in nodes]

        def write(connection: apsw.Connection) -> None:
            connection.executemany(
                "INSERT INTO nodes VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET document = ?2", rows
            )

        await self._engine.change(write)

    async def delete(self, name: str) -> None:
        """Keep a node no more."""

        def write(connection: apsw.Connection) -> None:
            connection.execute("DELETE FROM nodes WHERE name = ?", (name,))

        await self._engine.change(write)

    def close(self) -> None:
        """Finish what was accepted, then close."""
        self._engine.close()


def _same(connection: apsw.Connection) -> apsw.Connection:
    return connection


def _document(node: Node) -> dict[str, Any]:
    form = dataclasses.asdict(node)
    form["outcome"] = None if node.outcome is None else node.outcome.value
    return form | {name: getattr(node, name).hex() for name in _DIGESTS}


def _node(form: dict[str, Any]) -> Node:
    figures = form["figures"]
    overrides = tuple(Override(**override) for override in figures["overrides"])
    return Node(
        **(
            form
            | {name: bytes.fromhex(form[name]) for name in _DIGESTS}
            | {
                "outcome": None if form["outcome"] is None else Outcome(form["outcome"]),
                "figures": Figures(**(figures | {"overrides": overrides, "failures": tuple(figures["failures"])})),
            }
        )
    )
