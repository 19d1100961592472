"""The store in one SQLite file: a writer thread with group commit, and a reader beside it.

Work that waits while a commit runs shares the next one, each piece in its own savepoint, so that one failing piece
takes nothing of the others with it. The file belongs to one process: a lock beside it says so and ends with it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import apsw
import structlog

from neuralmesh_server.errors import ResourceExhaustedError, UnavailableError
from neuralmesh_server.metrics.store import Retention
from neuralmesh_server.metrics.store_sqlite_ledger import SqliteLedger
from neuralmesh_server.metrics.store_sqlite_schema import open_reader, open_writer
from neuralmesh_server.metrics.store_sqlite_view import SqliteView
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuralmesh_server.metrics.store import Ledger, View

T = TypeVar("T")
Job = tuple["Callable[[Ledger], Any]", "Future[Any]"]

log = structlog.get_logger()

FILE_NAME = "metrics.sqlite3"
_GROUP = 256
"""Most pieces of work in one commit."""


class SqliteStore:
    """The store in a folder.

    Args:
        folder: Where the database is, or will be made.
        retention: How much is kept for joining outcomes.

    Raises:
        SettingsError: Another process uses the folder, or the database cannot be opened.
    """

    def __init__(self, folder: Path, retention: Retention | None = None) -> None:
        self._retention = retention or Retention()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock(folder)
        try:
            self._writer = open_writer(folder / FILE_NAME)
            self._reader = open_reader(folder / FILE_NAME)
        except SettingsError:
            os.close(self._lock_file)
            raise
        self._jobs: deque[Job] = deque()
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="metrics-write")
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="metrics-read")
        self._closed = False

    async def write(self, work: Callable[[Ledger], T]) -> T:
        """See Store."""
        done: Future[T] = Future()
        self._jobs.append((work, done))
        self._submit(self._write_thread, self._commit_group)
        return await asyncio.wrap_future(done)

    async def read(self, work: Callable[[View], T]) -> T:
        """See Store."""
        return await asyncio.wrap_future(self._submit(self._read_thread, lambda: self._read(work)))

    def close(self) -> None:
        """Commit what waits, then close; later work raises UnavailableError. Blocks for at most one commit."""
        if self._closed:
            return
        self._closed = True
        self._write_thread.shutdown()
        self._read_thread.shutdown()
        self._reader.close()
        self._writer.close()
        os.close(self._lock_file)

    def _submit(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> Future[T]:
        if self._closed:
            raise UnavailableError("NOT_SERVING", "the metrics service is stopping")
        return thread.submit(work)

    def _read(self, work: Callable[[View], T]) -> T:
        self._reader.execute("BEGIN")
        try:
            return work(SqliteView(self._reader))
        finally:
            self._reader.execute("ROLLBACK")

    def _commit_group(self) -> None:
        """Run what waits in one transaction. Every piece of work asks for a group, so some find nothing to do."""
        jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), _GROUP))]
        jobs = [job for job in jobs if job[1].set_running_or_notify_cancel()]
        if not jobs:
            return
        ledger = SqliteLedger(self._writer)
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            results = [self._attempt(work, ledger) for work, _ in jobs]
            ledger.prune(self._retention)
            self._writer.execute("COMMIT")
        except Exception as error:  # carried to the callers that wait, each of whom raises it
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            failure = _translated(error)
            log.exception("commit_failed", pieces=len(jobs))
            for _, done in jobs:
                done.set_exception(failure)
            return
        for (_, done), (result, failed) in zip(jobs, results, strict=True):
            if failed is not None:
                done.set_exception(failed)
            else:
                done.set_result(result)

    def _attempt(self, work: Callable[[Ledger], Any], ledger: SqliteLedger) -> tuple[Any, Exception | None]:
        """Run one piece of work; what it raises undoes it alone, unless the database itself failed."""
        self._writer.execute("SAVEPOINT piece")
        try:
            result = work(ledger)
        except apsw.Error:
            raise
        except Exception as error:  # noqa: BLE001 - carried to the caller that waits, who raises it
            self._writer.execute("ROLLBACK TO piece; RELEASE piece")
            return None, error
        self._writer.execute("RELEASE piece")
        return result, None


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SettingsError(f"{folder} is in use by another metrics service") from None
    return descriptor


def _translated(error: Exception) -> Exception:
    if isinstance(error, apsw.FullError):
        return ResourceExhaustedError("STORAGE_FULL", "no space is left for the metrics database")
    return error
