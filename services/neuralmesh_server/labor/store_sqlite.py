"""The labor array's store on SQLite, in a folder that one process owns. What is answered survives a power failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from neuralmesh_server.data_folder import DataFolder
from neuralmesh_server.labor.store_sqlite_changes import SqliteLedger
from neuralmesh_server.labor.store_sqlite_queries import SqliteView
from neuralmesh_server.labor.store_sqlite_schema import STEPS
from neuralmesh_server.sqlite_engine import SqliteEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuralmesh_server.labor.store import Ledger, View

T = TypeVar("T")

FILE_NAME = "labor.sqlite3"


class SqliteStore:
    """The store in a folder.

    Args:
        folder: Where the database is, or will be made.
        max_pages: Largest size of the file in pages, which makes "disk full" repeatable; None for no limit.

    Raises:
        SettingsError: Another process uses the folder, or the database cannot be opened.
    """

    def __init__(self, folder: Path, *, max_pages: int | None = None) -> None:
        self._folder = DataFolder(folder, "labor service")
        try:
            self._engine: SqliteEngine[SqliteView, SqliteLedger] = SqliteEngine(
                folder / FILE_NAME,
                STEPS,
                SqliteView,
                SqliteLedger,
                synchronous="FULL",
                readers=2,
                max_pages=max_pages,
            )
        except BaseException:
            self._folder.close()
            raise

    async def write(self, work: Callable[[Ledger], T]) -> T:
        """See Store."""
        return await self._engine.change(work)

    async def read(self, work: Callable[[View], T]) -> T:
        """See Store."""
        return await self._engine.read(work)

    def close(self) -> None:
        """Commit what waits, then close; later work raises UnavailableError."""
        self._engine.close()
        self._folder.close()
