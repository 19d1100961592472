"""The registry's store on SQLite: what is answered is on the disk. It holds no rule of the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from neuralmesh_server.registry.store_sqlite_changes import SqliteTransaction
from neuralmesh_server.registry.store_sqlite_queries import SqliteView
from neuralmesh_server.registry.store_sqlite_schema import STEPS
from neuralmesh_server.sqlite_engine import SqliteEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuralmesh_server.registry.store import Transaction, View

T = TypeVar("T")

READERS = 3


class SqliteStore:
    """See `store.Store`.

    Args:
        path: The database file; it is created where it does not exist.
        max_pages: Largest size of the file in pages, which makes "disk full" repeatable; None for no limit.

    Raises:
        SettingsError: The file is no database, is damaged, or was written by a later release.
    """

    def __init__(self, path: Path, *, max_pages: int | None = None) -> None:
        self._engine: SqliteEngine[View, Transaction] = SqliteEngine(
            path, STEPS, SqliteView, SqliteTransaction, synchronous="FULL", readers=READERS, max_pages=max_pages
        )

    async def read(self, rule: Callable[[View], T]) -> T:
        """Run a rule on the newest committed state."""
        return await self._engine.read(rule)

    async def change(self, rule: Callable[[Transaction], T]) -> T:
        """Run a rule; returns when its changes are durable."""
        return await self._engine.change(rule)

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call a listener on the writer's thread after every commit."""
        self._engine.on_commit(listener)

    def close(self) -> None:
        """Finish what was accepted, then close."""
        self._engine.close()
