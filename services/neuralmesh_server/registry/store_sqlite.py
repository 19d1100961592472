"""The registry's store on SQLite: one writer thread with group commit, readers on connections of their own.

Changes that wait together share one transaction and one flush of the disk, each in a savepoint; all are answered after
the commit. It holds no rule of the registry; those come in as functions.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from neuralmesh_server.content_store import STORAGE_ERRORS
from neuralmesh_server.errors import NeuralMeshError, ResourceExhaustedError, UnavailableError
from neuralmesh_server.registry.store_sqlite_queries import SqliteTransaction, SqliteView
from neuralmesh_server.registry.store_sqlite_schema import migrate
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuralmesh_server.registry.store import Transaction, View

T = TypeVar("T")

READERS = 3
GROUP = 128
"""Most changes that share a commit."""

_OLDEST = (3, 51, 3)
_Pending = tuple["Callable[[Transaction], Any]", "Future[Any]"]


class SqliteStore:
    """See `store.Store`.

    Args:
        path: The database file; it is created where it does not exist.
        max_pages: Largest size of the file in pages, which makes "disk full" repeatable; None for no limit.
    """

    def __init__(self, path: Path, *, max_pages: int | None = None) -> None:
        found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
        if found < _OLDEST:
            raise RuntimeError(f"SQLite {apsw.sqlite_lib_version()} can corrupt a WAL; 3.51.3 or newer is needed")
        self._listeners: list[Callable[[], None]] = []
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._connection = _open(path)
            migrate(self._connection)
        except apsw.Error as error:
            raise SettingsError(f"the registry's database {path} cannot be opened: {error}") from error
        if max_pages is not None:
            self._connection.pragma("max_page_count", max_pages)
        self._idle: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        for _ in range(READERS):
            reader = _open(path)
            reader.pragma("query_only", 1)
            reader.pragma("wal_autocheckpoint", 0)  # only the writer checkpoints
            self._idle.put(reader)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="registry-read")
        self._writer = threading.Thread(target=self._write, name="registry-write", daemon=True)
        self._writer.start()

    async def read(self, rule: Callable[[View], T]) -> T:
        """Run a rule on the newest committed state."""
        if self._closed:
            raise _closed()
        return await asyncio.wrap_future(self._readers.submit(self._read, rule))

    async def change(self, rule: Callable[[Transaction], T]) -> T:
        """Run a rule; returns when its changes are durable."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise _closed()
            self._queue.put((rule, future))
        return await asyncio.wrap_future(future)

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call a listener on the writer's thread after every commit."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Finish what was accepted, then close."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._writer.join()
        self._readers.shutdown()
        for _ in range(READERS):
            self._idle.get().close()
        self._connection.close()  # the last connection folds the WAL into the file

    def _read(self, rule: Callable[[View], T]) -> T:
        connection = self._idle.get()
        try:
            with _transaction(connection, "BEGIN"):
                return rule(SqliteView(connection))
        finally:
            self._idle.put(connection)

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            while len(group) < GROUP:
                try:
                    pending = self._queue.get_nowait()
                except queue.Empty:
                    break
                if pending is None:
                    self._queue.put(None)
                    break
                group.append(pending)
            self._commit([(rule, future) for rule, future in group if future.set_running_or_notify_cancel()])

    def _commit(self, group: list[_Pending]) -> None:
        """Run a group of changes in one transaction and answer all of them after its end."""
        outcomes: list[tuple[Any, BaseException | None]] = []
        try:
            with _transaction(self._connection, "BEGIN IMMEDIATE"):
                outcomes.extend(self._attempt(rule) for rule, _ in group)
        except apsw.Error as error:
            failure = self._translate(error)
            for _, future in group:
                future.set_exception(failure)
            return
        for (_, future), (result, problem) in zip(group, outcomes, strict=True):
            if problem is None:
                future.set_result(result)
            else:
                future.set_exception(problem)
        for listener in self._listeners:
            listener()

    def _attempt(self, rule: Callable[[Transaction], Any]) -> tuple[Any, BaseException | None]:
        self._connection.execute("SAVEPOINT change")
        try:
            result = rule(SqliteTransaction(self._connection))
        except (apsw.FullError, apsw.IOError, apsw.NoMemError, apsw.CorruptError):
            raise  # SQLite may have undone the whole transaction
        except Exception as problem:  # noqa: BLE001 - as an executor: the error belongs to who asked, not to this thread
            self._connection.execute("ROLLBACK TO change")
            self._connection.execute("RELEASE change")
            return None, problem
        self._connection.execute("RELEASE change")
        return result, None

    def _translate(self, error: apsw.Error) -> NeuralMeshError | apsw.Error:
        full = isinstance(error, apsw.FullError) or (
            isinstance(error, apsw.IOError) and self._connection.system_errno in STORAGE_ERRORS
        )
        if not full:
            return error
        return ResourceExhaustedError("STORAGE_FULL", "no space is left to store the change; nothing was changed")


class _transaction:  # noqa: N801 - reads as a statement
    """Commits when the block ends well, else rolls back; a failed commit is rolled back too."""

    def __init__(self, connection: apsw.Connection, begin: str) -> None:
        self._connection = connection
        self._begin = begin

    def __enter__(self) -> None:
        self._connection.execute(self._begin)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL")
    connection.pragma("foreign_keys", 1)
    connection.pragma("trusted_schema", 0)
    return connection


def _closed() -> UnavailableError:
    return UnavailableError("NOT_SERVING", "the registry is stopping")
