"""What the SQLite engine promises to every store on it."""

from __future__ import annotations

import asyncio
import threading

import apsw
import pytest

from neuralmesh_server.errors import ResourceExhaustedError, UnavailableError
from neuralmesh_server.settings import SettingsError
from neuralmesh_server.sqlite_engine import GROUP, SqliteEngine

STEPS = (
    "CREATE TABLE parents (id INTEGER PRIMARY KEY) STRICT",
    """
    CREATE TABLE items (
        id INTEGER PRIMARY KEY,
        note TEXT NOT NULL DEFAULT '',
        parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED
    ) STRICT
    """,
)
PATIENCE = 20.0
"""Seconds after which a thread that should meet another counts as stuck."""


def opened(folder, **named):
    """Open an engine whose functions get the connection itself."""
    named = {"synchronous": "FULL", "readers": 3} | named
    steps = named.pop("steps", STEPS)
    return SqliteEngine(folder / "test.sqlite", steps, lambda c: c, lambda c: c, **named)


@pytest.fixture
def engine(tmp_path):
    made = opened(tmp_path)
    yield made
    made.close()


def insert(number, note=""):
    """Return a change that adds an item."""
    return lambda connection: (
        connection.execute("INSERT INTO items (id, note) VALUES (?, ?)", (number, note)) and number
    )


def items(connection):
    """Return the numbers of the items."""
    return [number for (number,) in connection.execute("SELECT id FROM items ORDER BY id")]


class Gate:
    """A change that holds the writer until it is opened, so that what comes after waits together."""

    def __init__(self):
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, connection):
        self.entered.set()
        assert self.opened.wait(PATIENCE)

    async def together(self, engine, *rules):
        """Run changes that are all queued before the first of them starts; return results and errors."""
        holding = asyncio.create_task(engine.change(self))
        await asyncio.to_thread(self.entered.wait, PATIENCE)
        waiting = [asyncio.create_task(engine.change(rule)) for rule in rules]
        await asyncio.sleep(0)  # every task runs up to its queue entry
        self.opened.set()
        await holding
        return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(("level", "number"), [("FULL", 2), ("NORMAL", 1)])
async def test_the_durability_is_the_one_asked_for(tmp_path, level, number):
    """The writer syncs as asked, to a write-ahead log, with foreign keys on."""
    engine = opened(tmp_path, synchronous=level)

    def pragmas(connection):
        return [connection.pragma(name) for name in ("synchronous", "journal_mode", "foreign_keys")]

    assert await engine.change(pragmas) == [number, "wal", 1]
    engine.close()


async def test_waiting_changes_share_a_commit_up_to_a_limit(engine):
    """Changes that wait together are committed together, at most GROUP at once, and all are answered."""
    commits = []
    engine.on_commit(lambda: commits.append(1))
    results = await Gate().together(engine, *(insert(number) for number in range(GROUP + 10)))
    assert results == list(range(GROUP + 10))
    # The gate, a full group, the rest. Listeners come after the answers, and before the writer's next change.
    assert await engine.change(lambda _: len(commits)) == 3
    assert await engine.read(items) == results


async def test_a_failing_change_takes_nothing_else_with_it(engine):
    """What a change wrote before it failed is undone; its neighbours in the commit stay, a broken constraint or not."""

    def failing(connection):
        insert(2)(connection)
        raise ZeroDivisionError

    results = await Gate().together(engine, insert(1), failing, insert(1), insert(3))
    assert [results[0], results[3]] == [1, 3]
    assert isinstance(results[1], ZeroDivisionError)
    assert isinstance(results[2], apsw.ConstraintError)
    assert await engine.read(items) == [1, 3]


async def test_a_failing_commit_fails_the_whole_group(engine):
    """When the commit is refused, every change of the group fails, no listener is called, and the engine goes on."""
    commits = []
    engine.on_commit(lambda: commits.append(1))

    def orphan(connection):
        connection.execute("INSERT INTO items (id, parent) VALUES (2, 77)")

    results = await Gate().together(engine, insert(1), orphan, insert(3))
    assert [type(result) for result in results] == [apsw.ConstraintError] * 3
    assert len(commits) == 1  # the gate's
    assert await engine.read(items) == []
    assert await engine.change(insert(4)) == 4


async def test_the_end_of_a_group_belongs_to_its_transaction(tmp_path):
    """`before_commit` runs once a group, is committed with it, and undoes all of it when it fails."""
    calls = []

    def before_commit(connection):
        calls.append(items(connection))
        connection.execute("DELETE FROM items WHERE id < 10")
        if 13 in calls[-1]:
            raise ZeroDivisionError

    engine = opened(tmp_path, before_commit=before_commit)
    await Gate().together(engine, insert(1), insert(11), insert(2))
    assert calls == [[], [1, 2, 11]]
    assert await engine.read(items) == [11]
    results = await Gate().together(engine, insert(12), insert(13))
    assert [type(result) for result in results] == [ZeroDivisionError] * 2
    assert await engine.change(insert(14)) == 14
    assert await engine.read(items) == [11, 14]
    engine.close()


async def test_reads_run_beside_one_another_and_beside_the_writer(engine):
    """As many reads as readers run at once, each on one committed state, while a change is committed."""
    meeting = threading.Barrier(4, timeout=PATIENCE)

    def looking(connection):
        before = items(connection)
        meeting.wait()  # all three readers have looked
        meeting.wait()  # and the change is committed
        return before, items(connection)

    reads = [asyncio.create_task(engine.read(looking)) for _ in range(3)]
    await asyncio.to_thread(meeting.wait)
    await engine.change(insert(1))
    await asyncio.to_thread(meeting.wait)
    assert await asyncio.gather(*reads) == [([], [])] * 3
    assert await engine.read(items) == [1]


async def test_a_read_cannot_write(engine):
    """A reading function that tries to change something fails, and its connection stays usable."""
    for _ in range(4):
        with pytest.raises(apsw.ReadOnlyError):
            await engine.read(insert(1))
    assert await engine.read(items) == []


async def test_a_full_disk_refuses_and_goes_on(tmp_path):
    """Without room the whole group fails with STORAGE_FULL; what was committed is read, and a smaller change fits."""
    engine = opened(tmp_path, max_pages=20)
    await engine.change(insert(1, "kept"))
    results = await Gate().together(engine, insert(2), insert(3, "x" * 200_000), insert(4))
    assert [result.reason for result in results if isinstance(result, ResourceExhaustedError)] == ["STORAGE_FULL"] * 3
    assert await engine.read(items) == [1]
    assert await engine.change(insert(5)) == 5
    engine.close()


async def test_closing_finishes_what_was_accepted(tmp_path):
    """Changes that were accepted before a close are committed and answered; later work is refused; twice is once."""
    engine = opened(tmp_path)
    gate = Gate()
    holding = asyncio.create_task(engine.change(gate))
    await asyncio.to_thread(gate.entered.wait, PATIENCE)
    accepted = [asyncio.create_task(engine.change(insert(number))) for number in range(10)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(engine.close))
    gate.opened.set()
    await closing
    await holding
    assert await asyncio.gather(*accepted) == list(range(10))
    engine.close()
    for attempt in (engine.read, engine.change):
        with pytest.raises(UnavailableError, match="stopping") as caught:
            await attempt(items)
        assert caught.value.reason == "NOT_SERVING"
    again = opened(tmp_path)
    assert await again.read(items) == list(range(10))
    again.close()


async def test_tables_are_brought_up_step_by_step(tmp_path):
    """A file of an earlier release gets the steps it lacks and keeps its rows."""
    first = opened(tmp_path, steps=STEPS[:1])
    await first.change(lambda connection: connection.execute("INSERT INTO parents VALUES (7)"))
    first.close()
    second = opened(tmp_path)
    await second.change(insert(1))
    assert await second.read(lambda connection: connection.execute("SELECT id FROM parents").get) == 7
    assert await second.read(lambda connection: connection.pragma("user_version")) == 2
    second.close()


async def test_steps_are_done_all_or_none(tmp_path):
    """A step that fails leaves the file as it was, still open to a release whose steps work."""
    opened(tmp_path, steps=STEPS[:1]).close()
    with pytest.raises(SettingsError, match="cannot be opened"):
        opened(tmp_path, steps=(*STEPS, "CREATE TABLE parents (x)"))
    engine = opened(tmp_path)
    assert await engine.read(items) == []
    engine.close()


def test_a_file_of_a_later_release_is_refused(tmp_path):
    """More steps than are known mean a newer release; its file is named and left alone."""
    opened(tmp_path).close()
    before = (tmp_path / "test.sqlite").read_bytes()
    with pytest.raises(SettingsError, match=r"test\.sqlite has schema 2; this release knows 1: a newer one wrote it"):
        opened(tmp_path, steps=STEPS[:1])
    assert (tmp_path / "test.sqlite").read_bytes() == before


def test_what_is_no_database_is_refused(tmp_path):
    """A foreign file is named and left as it is."""
    path = tmp_path / "test.sqlite"
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(SettingsError, match=r"the database .*test\.sqlite cannot be opened"):
        opened(tmp_path)
    assert path.read_bytes() == b"no database " * 1000


def test_a_library_that_corrupts_its_log_is_refused(tmp_path, monkeypatch):
    """An SQLite before 3.51.3 is not trusted with a file."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(RuntimeError, match=r"3\.51\.2"):
        opened(tmp_path)
    assert list(tmp_path.iterdir()) == []
