"""SQLite with one writer and group commit: what every store in a file needs, whatever it stores.

Changes that wait together share one transaction, each in a savepoint of its own, and are answered after the commit.
Readers have connections of their own, so a long read holds up no change. It knows no table and no rule: those come in
as schema steps, as functions, and as the classes through which the functions see a connection.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import apsw
import structlog

from neuralmesh_server.content_store import STORAGE_ERRORS
from neuralmesh_server.errors import ResourceExhaustedError, UnavailableError
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")
ViewT = TypeVar("ViewT")
TransactionT = TypeVar("TransactionT")
_Pending = tuple["Callable[[TransactionT], Any]", "Future[Any]"]

log = structlog.get_logger()

GROUP = 128
"""Most changes that share a commit."""

_OLDEST = (3, 51, 3)
_BUSY_MS = 10_000


class SqliteEngine(Generic[ViewT, TransactionT]):
    """One database file, open in this process alone.

    Args:
        path: The file; it is created where it does not exist.
        steps: Statements from each version of the tables to the next; `user_version` counts those that a file has had.
        view: What a reading function gets, made of a connection.
        transaction: What a changing function gets, made of a connection.
        synchronous: With FULL a change that is answered survives a power failure. With NORMAL it survives a kill of the
            process, and a power failure may take the newest; the file stays intact in either case.
        readers: How many reads run at once.
        before_commit: Called with the transaction at the end of every group, and committed or undone with it.
        max_pages: Largest size of the file in pages, which makes "disk full" repeatable; None for no limit.

    Raises:
        RuntimeError: The SQLite library is older than the fix of a defect that corrupts a write-ahead log.
        SettingsError: The file is no database, is damaged, or was written by a later release.
    """

    def __init__(
        self,
        path: Path,
        steps: Sequence[str],
        view: Callable[[apsw.Connection], ViewT],
        transaction: Callable[[apsw.Connection], TransactionT],
        *,
        synchronous: Literal["FULL", "NORMAL"],
        readers: int,
        before_commit: Callable[[TransactionT], None] | None = None,
        max_pages: int | None = None,
    ) -> None:
        self._view = view
        self._transaction = transaction
        self._before_commit = before_commit
        self._listeners: list[Callable[[], None]] = []
        self._queue: queue.SimpleQueue[_Pending[TransactionT] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._connection, reading = _open_all(path, steps, synchronous, readers)
        if max_pages is not None:
            self._connection.pragma("max_page_count", max_pages)
        self._idle: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        for connection in reading:
            self._idle.put(connection)
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix=f"{path.stem}-read")
        self._writer = threading.Thread(target=self._write, name=f"{path.stem}-write", daemon=True)
        self._writer.start()

    async def read(self, rule: Callable[[ViewT], T]) -> T:
        """Run a function on the newest committed state, off the event loop.

        Raises:
            UnavailableError: The engine is closed.
        """
        with self._lock:
            self._check_open()
            future = self._readers.submit(self._read, rule)
        return await asyncio.wrap_future(future)

    async def change(self, rule: Callable[[TransactionT], T]) -> T:
        """Run a function; returns when its changes are committed. What it raises is raised here and undoes it alone.

        A failure of the disk or of the commit fails every change of the group, and nothing of them stays.

        Raises:
            ResourceExhaustedError: No space is left.
            UnavailableError: The engine is closed.
        """
        future: Future[T] = Future()
        with self._lock:
            self._check_open()
            self._queue.put((rule, future))
        return await asyncio.wrap_future(future)

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call a listener on the writer's thread after every commit."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Finish what was accepted, then close. Repeating it changes nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._writer.join()
        self._readers.shutdown()
        while not self._idle.empty():
            self._idle.get().close()
        self._connection.close()  # the last connection folds the log into the file

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("NOT_SERVING", "the service is stopping")

    def _read(self, rule: Callable[[ViewT], T]) -> T:
        connection = self._idle.get()
        try:
            with _transaction(connection, "BEGIN"):
                return rule(self._view(connection))
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
            wanted = [(rule, future) for rule, future in group if future.set_running_or_notify_cancel()]
            if wanted:
                self._commit(wanted)

    def _commit(self, group: list[_Pending[TransactionT]]) -> None:
        """Run a group of changes in one transaction and answer all of them after its end."""
        try:
            with _transaction(self._connection, "BEGIN IMMEDIATE"):
                outcomes = [self._attempt(rule) for rule, _ in group]
                if self._before_commit is not None:
                    self._before_commit(self._transaction(self._connection))
        except Exception as error:  # noqa: BLE001 - carried to the callers that wait, each of whom raises it
            self._fail(group, error)
            return
        for (_, future), (result, problem) in zip(group, outcomes, strict=True):
            if problem is None:
                future.set_result(result)
            else:
                future.set_exception(problem)
        for listener in self._listeners:
            listener()

    def _attempt(self, rule: Callable[[TransactionT], Any]) -> tuple[Any, Exception | None]:
        self._connection.execute("SAVEPOINT change")
        try:
            result = rule(self._transaction(self._connection))
        except (apsw.FullError, apsw.IOError, apsw.NoMemError, apsw.CorruptError):
            raise  # SQLite may have undone the whole transaction
        except Exception as problem:  # noqa: BLE001 - as an executor: the error belongs to who asked, not to this thread
            self._connection.execute("ROLLBACK TO change")
            self._connection.execute("RELEASE change")
            return None, problem
        self._connection.execute("RELEASE change")
        return result, None

    def _fail(self, group: list[_Pending[TransactionT]], error: Exception) -> None:
        full = isinstance(error, apsw.FullError) or (
            isinstance(error, apsw.IOError) and self._connection.system_errno in STORAGE_ERRORS
        )
        # No traceback of a full disk: there may be one failure a request, and the log may be on that disk.
        log.error("commit_failed", changes=len(group), error=str(error), exc_info=None if full else error)
        failure: Exception = error
        if full:
            failure = ResourceExhaustedError(
                "STORAGE_FULL", "no space is left to store the change; nothing was changed"
            )
        for _, future in group:
            future.set_exception(failure)


@contextmanager
def _transaction(connection: apsw.Connection, begin: str) -> Iterator[None]:
    """Commit when the block ends well, else roll back; a failed commit is rolled back too."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _open_all(
    path: Path, steps: Sequence[str], synchronous: str, readers: int
) -> tuple[apsw.Connection, list[apsw.Connection]]:
    """Return the writer's connection, with the newest tables, and those of the readers."""
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < _OLDEST:
        raise RuntimeError(f"SQLite {apsw.sqlite_lib_version()} can corrupt a write-ahead log; 3.51.3 is the oldest")
    opened: list[apsw.Connection] = []
    try:
        opened.append(apsw.Connection(str(path)))
        _set_up(opened[0], synchronous)
        _migrate(opened[0], path, steps)
        for _ in range(readers):
            opened.append(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE))
            _set_up(opened[-1], synchronous)
            opened[-1].pragma("query_only", 1)
            opened[-1].pragma("wal_autocheckpoint", 0)  # only the writer checkpoints
    except (apsw.Error, SettingsError) as error:
        for connection in opened:
            connection.close(True)
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(f"the database {path} cannot be opened: {error}") from error
    return opened[0], opened[1:]


def _set_up(connection: apsw.Connection, synchronous: str) -> None:
    connection.set_busy_timeout(_BUSY_MS)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", synchronous)
    connection.pragma("foreign_keys", 1)
    connection.pragma("trusted_schema", 0)


def _migrate(connection: apsw.Connection, path: Path, steps: Sequence[str]) -> None:
    """Bring a file to the newest tables, all steps in one transaction."""
    with connection:
        done: int = connection.pragma("user_version")
        if done > len(steps):
            raise SettingsError(
                f"the database {path} has schema {done}; this release knows {len(steps)}: a newer one wrote it"
            )
        for step in steps[done:]:
            connection.execute(step)
        if done < len(steps):
            connection.pragma("user_version", len(steps))
