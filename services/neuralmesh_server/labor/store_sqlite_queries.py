"""What is read from the SQLite database of the labor array, and how its rows become records."""

from __future__ import annotations

import json
import zlib
from array import array
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from neuralmesh_server.labor.records import (
    RUNNING,
    Alarm,
    Entry,
    Job,
    JobEvent,
    KnownWorker,
    Options,
    PlanSummary,
    Problem,
    Progress,
    ShardResult,
    Vote,
)
from neuralmesh_server.labor.schedule import Epoch
from neuralmesh_server.labor.store import KeptJob

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

JOB = (
    "job, sequence, plan_digest, context, wish, summary, options, state, actor, created_ms, ended_ms, problem,"
    " output_digest, report"
)
ENTRY = "action, result, digest, worker, confirmed, disputed"
ALARM = "action, job, shard, first_digest, first_worker, second_digest, second_worker, quarantined, time_ms"
WORKER = "name, host, slots, numerics, done, quarantined, seen_ms"

EPOCH_BYTES = 5
"""Most bytes of a shard and its slot in an answer."""

ANSWER_BYTES = 8 << 20
"""Size from which on an answer takes no further epoch; one has at most 5 MB for its million shards."""


class SqliteView:
    """One committed state."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def job(self, job: str) -> Job | None:
        """See View."""
        row = self._one(f"SELECT {JOB} FROM jobs WHERE job = ?", job)  # noqa: S608 - names of columns
        return None if row is None else _job(row)

    def jobs(self, before: int, limit: int) -> list[Job]:
        """See View."""
        where = "WHERE sequence < ?1" if before else "WHERE ?1 = 0"
        query = f"SELECT {JOB} FROM jobs {where} ORDER BY sequence DESC LIMIT ?2"  # noqa: S608 - constants
        return [_job(row) for row in self._all(query, before, limit)]

    def jobs_in(self, state: str) -> list[Job]:
        """See View."""
        query = f"SELECT {JOB} FROM jobs WHERE state = ? ORDER BY sequence"  # noqa: S608 - names of columns
        return [_job(row) for row in self._all(query, state)]

    def kept_jobs(self, since_ms: int) -> list[KeptJob]:
        """See View."""
        query = "SELECT job, plan_digest, output_digest FROM jobs WHERE state = ? OR max(ended_ms, used_ms) >= ?"
        return [KeptJob(*row) for row in self._all(query, RUNNING, since_ms)]

    def count_jobs(self) -> dict[str, int]:
        """See View."""
        return dict(self._all("SELECT state, count(*) FROM jobs GROUP BY state"))

    def shard_results(self, job: str) -> list[ShardResult]:
        """See View."""
        rows = self._all(
            f"SELECT shard, cached, skipped, {ENTRY} FROM shards JOIN action_cache USING (action)"  # noqa: S608
            " WHERE job = ? ORDER BY shard",
            job,
        )
        return [ShardResult(row[0], bool(row[1]), _entry(row[3:]), row[2]) for row in rows]

    def count_shards(self, job: str) -> int:
        """See View."""
        return self._value("SELECT count(*) FROM shards WHERE job = ?", job)

    def events(self, job: str, after: int, limit: int) -> list[JobEvent]:
        """See View."""
        query = "SELECT event, fact FROM events WHERE job = ? AND event > ? ORDER BY event LIMIT ?"
        return [_event(*row) for row in self._all(query, job, after, limit)]

    def last_event(self, job: str) -> JobEvent | None:
        """See View."""
        row = self._one("SELECT event, fact FROM events WHERE job = ? ORDER BY event DESC LIMIT 1", job)
        return None if row is None else _event(*row)

    def epochs(self, job: str, after: int = 0) -> list[Epoch]:
        """See View."""
        query = "SELECT epoch, slots, pending, assigned FROM epochs WHERE job = ? AND epoch > ? ORDER BY epoch"
        epochs: list[Epoch] = []
        size = 0
        for row in self._connection.execute(query, (job, after)):
            epochs.append(_epoch(row))
            size += EPOCH_BYTES * len(epochs[-1].pending) + sum(map(len, epochs[-1].slots))
            if size >= ANSWER_BYTES:
                break
        return epochs

    def last_epoch(self, job: str) -> Epoch | None:
        """See View."""
        query = "SELECT epoch, slots, pending, assigned FROM epochs WHERE job = ? ORDER BY epoch DESC LIMIT 1"
        row = self._one(query, job)
        return None if row is None else _epoch(row)

    def entry(self, action: str) -> Entry | None:
        """See View."""
        row = self._one(f"SELECT {ENTRY} FROM action_cache WHERE action = ?", action)  # noqa: S608 - as above
        return None if row is None else _entry(row)

    def entries(self, actions: Iterable[str]) -> dict[str, Entry]:
        """See View."""
        query = f"SELECT {ENTRY} FROM action_cache WHERE action = ? AND disputed = 0"  # noqa: S608 - as above
        rows = self._connection.executemany(query, ((action,) for action in actions))
        return {row[0]: _entry(row) for row in rows}

    def votes(self, action: str) -> list[Vote]:
        """See View."""
        query = "SELECT worker, digest, result FROM votes WHERE action = ? ORDER BY vote"
        return [Vote(*row) for row in self._all(query, action)]

    def disputed(self) -> dict[str, frozenset[str]]:
        """See View."""
        found: dict[str, set[str]] = {}
        for action, worker in self._all("SELECT action, worker FROM votes"):
            found.setdefault(action, set()).add(worker)
        return {action: frozenset(workers) for action, workers in found.items()}

    def entries_of(self, worker: str) -> list[Entry]:
        """See View."""
        query = f"SELECT {ENTRY} FROM action_cache WHERE worker = ? OR instr(confirmed, ?) > 0"  # noqa: S608 - as above
        return [_entry(row) for row in self._all(query, worker, json.dumps(worker))]

    def disputes_of(self, worker: str) -> list[str]:
        """See View."""
        query = "SELECT DISTINCT action FROM votes WHERE worker = ? ORDER BY action"
        return [action for (action,) in self._all(query, worker)]

    def actions_of_input(self, input_digest: str) -> list[tuple[str, str, int]]:
        """See View."""
        query = "SELECT action, recipe, rows FROM action_cache WHERE input = ? AND disputed = 0 ORDER BY action"
        return self._all(query, input_digest)

    def actions_of_recipe(self, recipe: str, limit: int) -> list[tuple[str, str, int]]:
        """See View."""
        query = (  # of a bare column beside min(), SQLite gives the value of the row that has the minimum
            "SELECT min(action), input, rows FROM action_cache WHERE recipe = ? AND disputed = 0"
            " GROUP BY rows ORDER BY rows LIMIT ?"
        )
        return self._all(query, recipe, limit)

    def recipe(self, digest: str) -> bytes | None:
        """See View."""
        row = self._one("SELECT fact FROM recipes WHERE digest = ?", digest)
        return None if row is None else row[0]

    def recipes(self) -> list[tuple[str, bytes]]:
        """See View."""
        return self._all("SELECT digest, fact FROM recipes ORDER BY digest")

    def worker(self, name: str) -> KnownWorker | None:
        """See View."""
        row = self._one(f"SELECT {WORKER} FROM workers WHERE name = ?", name)  # noqa: S608 - names of columns
        return None if row is None else _worker(row)

    def workers(self) -> list[KnownWorker]:
        """See View."""
        rows = self._all(f"SELECT {WORKER} FROM workers ORDER BY name")  # noqa: S608 - names of columns
        return [_worker(row) for row in rows]

    def is_quarantined(self, worker: str) -> bool:
        """See View."""
        return self._one("SELECT 1 FROM workers WHERE name = ? AND quarantined = 1", worker) is not None

    def alarms(self, limit: int) -> list[Alarm]:
        """See View."""
        query = f"SELECT {ALARM} FROM alarms ORDER BY alarm DESC LIMIT ?"  # noqa: S608 - names of columns
        return [Alarm(*row) for row in self._all(query, limit)]

    def count_alarms(self) -> int:
        """See View."""
        return self._value("SELECT count(*) FROM alarms")

    def _all(self, query: str, *values: Any) -> list[Any]:
        return list(self._connection.execute(query, values))

    def _one(self, query: str, *values: Any) -> Any:
        return next(iter(self._connection.execute(query, values)), None)

    def _value(self, query: str, *values: Any) -> int:
        ((value,),) = self._connection.execute(query, values)
        return int(value)


def pack(numbers: Sequence[int]) -> bytes:
    """Return integers of 32 bits in little-endian bytes, compressed."""
    values = array("i", numbers)
    if values.itemsize != 4:  # pragma: no cover - of every platform that Python runs on today
        raise RuntimeError("an int of C has not 4 bytes here")
    return zlib.compress(values.tobytes(), 1)


def unpack(data: bytes) -> tuple[int, ...]:
    """Return the integers of `pack`."""
    values = array("i")
    values.frombytes(zlib.decompress(data))
    return tuple(values)


def event_fact(event: JobEvent) -> str:
    """Return an event as JSON, but for its number."""
    fact = asdict(event)
    del fact["event"]
    return json.dumps(fact)


def _job(row: Any) -> Job:
    job, sequence, plan, context, wish, summary, options, state, actor, created, ended, problem, output, report = row
    return Job(
        job=job,
        sequence=sequence,
        plan_digest=plan,
        context=context,
        wish=wish,
        summary=PlanSummary(**json.loads(summary)),
        options=Options(**json.loads(options)),
        state=state,
        actor=actor,
        created_ms=created,
        ended_ms=ended,
        problem=Problem(*json.loads(problem)) if problem else None,
        output_digest=output,
        report=report,
    )


def _event(number: int, text: str) -> JobEvent:
    said = json.loads(text)
    return JobEvent(
        event=number,
        time_ms=said["time_ms"],
        state=said["state"],
        progress=Progress(**said["progress"]),
        message=said["message"],
        alarm=Alarm(**said["alarm"]) if said["alarm"] else None,
        problem=Problem(**said["problem"]) if said["problem"] else None,
    )


def _epoch(row: Any) -> Epoch:
    number, slots, pending, assigned = row
    return Epoch(number, tuple(json.loads(slots)), unpack(pending), unpack(assigned))


def _entry(row: Any) -> Entry:
    action, result, digest, worker, confirmed, disputed = row
    again = tuple(json.loads(confirmed)) if confirmed else ()
    return Entry(action, result, digest, worker, again, bool(disputed))


def _worker(row: Any) -> KnownWorker:
    name, host, slots, numerics, done, quarantined, seen = row
    return KnownWorker(name, host, slots, json.loads(numerics), done, bool(quarantined), seen)
