"""The registry's SQLite store in memory and in one thread: the real queries, without a disk and without luck."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import apsw

from neuralmesh_server.registry.store_sqlite_changes import SqliteTransaction
from neuralmesh_server.registry.store_sqlite_queries import SqliteView
from neuralmesh_server.registry.store_sqlite_schema import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.registry.store import Transaction, View

T = TypeVar("T")


class MemoryStore:
    """See `neuralmesh_server.registry.store.Store`.

    Args:
        backup: What `backup` returned, to go on from.
    """

    def __init__(self, backup: bytes | None = None) -> None:
        self._connection = apsw.Connection(":memory:")
        if backup is None:
            for step in STEPS:
                self._connection.execute(step)
        else:
            self._connection.deserialize("main", backup)
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._listeners: list[Callable[[], None]] = []

    def backup(self) -> bytes:
        """Return everything."""
        return self._connection.serialize("main")

    async def read(self, rule: Callable[[View], T]) -> T:
        """Run a rule on the state."""
        return rule(SqliteView(self._connection))

    async def change(self, rule: Callable[[Transaction], T]) -> T:
        """Run a rule; a raised error undoes it."""
        with self._connection:
            result = rule(SqliteTransaction(self._connection))
        for listener in self._listeners:
            listener()
        return result

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call a listener after every commit."""
        self._listeners.append(listener)

    def forget_listeners(self) -> None:
        """Call nobody any more: the process that listened is gone."""
        self._listeners.clear()

    def close(self) -> None:
        """Do nothing: a registry that restarts finds everything."""
