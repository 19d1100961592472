"""Changes to the SQLite database of the labor array within the writer's transaction."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from neuralmesh_server.labor.records import RUNNING
from neuralmesh_server.labor.store_sqlite_queries import SqliteView, event_fact, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuralmesh_server.labor.records import Alarm, Claim, Entry, Job, JobEvent, KnownWorker, Vote
    from neuralmesh_server.labor.schedule import Epoch


class SqliteLedger(SqliteView):
    """The state that the writer's open transaction sees and changes."""

    def next_generation(self) -> int:
        """See Ledger."""
        return self._value("UPDATE service SET generation = generation + 1 RETURNING generation")

    def add_job(self, job: Job) -> Job:
        """See Ledger."""
        sequence = self._value(
            "INSERT INTO jobs (job, plan_digest, context, wish, summary, options, state, actor, created_ms, ended_ms,"
            " problem, output_digest, report) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING sequence",
            *_columns(job),
        )
        return replace(job, sequence=sequence)

    def update_job(self, job: Job) -> None:
        """See Ledger."""
        self._run(
            "UPDATE jobs SET job = ?, plan_digest = ?, context = ?, wish = ?, summary = ?, options = ?, state = ?,"
            " actor = ?, created_ms = ?, ended_ms = ?, problem = ?, output_digest = ?, report = ? WHERE sequence = ?",
            *_columns(job),
            job.sequence,
        )

    def use_job(self, job: str, now_ms: int) -> None:
        """See Ledger."""
        self._run("UPDATE jobs SET used_ms = ? WHERE job = ?", now_ms, job)

    def drop_old_shards(self, since_ms: int) -> None:
        """See Ledger."""
        self._run(
            "DELETE FROM shards WHERE job IN (SELECT job FROM jobs WHERE state != ? AND max(ended_ms, used_ms) < ?)",
            RUNNING,
            since_ms,
        )

    def drop_unused(self, outputs: Sequence[str]) -> set[str]:
        """See Ledger."""
        named = "json_extract(CAST(result AS TEXT), '$.output[0]') = ?"  # as the index has it
        disputed = {json.loads(result)["output"][0] for (result,) in self._all("SELECT result FROM votes")}
        unused = set()
        for output in outputs:
            self._run(
                f"DELETE FROM action_cache WHERE {named} AND disputed = 0"  # noqa: S608 - a constant
                " AND NOT EXISTS (SELECT 1 FROM shards WHERE shards.action = action_cache.action)",
                output,
            )
            query = f"SELECT 1 FROM action_cache WHERE {named} LIMIT 1"  # noqa: S608 - a constant
            if output not in disputed and self._one(query, output) is None:
                unused.add(output)
        return unused

    def add_shard(self, job: str, shard: int, action: str, *, cached: bool) -> None:
        """See Ledger."""
        query = "INSERT INTO shards (job, shard, action, cached) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        self._run(query, job, shard, action, int(cached))

    def add_shards(self, job: str, shards: Sequence[tuple[int, str]]) -> None:
        """See Ledger."""
        query = (
            "INSERT INTO shards (job, shard, action, cached)"
            " SELECT ?, ?, action, 1 FROM action_cache WHERE action = ? AND disputed = 0 ON CONFLICT DO NOTHING"
        )
        self._connection.executemany(query, ((job, shard, action) for shard, action in shards))

    def drop_shards(self, job: str) -> None:
        """See Ledger."""
        self._run("DELETE FROM shards WHERE job = ?", job)

    def withdraw(self, action: str) -> list[tuple[str, int]]:
        """See Ledger."""
        return self._all("DELETE FROM shards WHERE action = ? RETURNING job, shard", action)

    def add_event(self, job: str, event: JobEvent) -> int:
        """See Ledger."""
        return self._value(
            "INSERT INTO events (job, event, fact)"
            " VALUES (?1, 1 + (SELECT coalesce(max(event), 0) FROM events WHERE job = ?1), ?2) RETURNING event",
            job,
            event_fact(event),
        )

    def add_epoch(self, job: str, epoch: Epoch) -> None:
        """See Ledger."""
        self._run(
            "INSERT INTO epochs (job, epoch, slots, pending, assigned) VALUES (?, ?, ?, ?, ?)",
            job,
            epoch.number,
            json.dumps(epoch.slots),
            pack(epoch.pending),
            pack(epoch.assigned),
        )

    def add_recipe(self, digest: str, fact: bytes) -> None:
        """See Ledger."""
        self._run("INSERT INTO recipes (digest, fact) VALUES (?, ?) ON CONFLICT DO NOTHING", digest, fact)

    def add_entry(self, claim: Claim) -> None:
        """See Ledger."""
        self._run(
            "INSERT INTO action_cache (action, recipe, input, rows, skipped, result, digest, worker, confirmed,"
            " disputed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0)",
            claim.action,
            claim.recipe,
            claim.input,
            claim.rows,
            claim.skipped,
            claim.result,
            claim.digest,
            claim.worker,
        )

    def replace_entry(self, entry: Entry) -> None:
        """See Ledger."""
        said = json.loads(entry.result)
        self._run(
            "UPDATE action_cache SET result = ?, digest = ?, worker = ?, confirmed = ?, skipped = rows - ?,"
            " disputed = 0 WHERE action = ?",
            entry.result,
            entry.digest,
            entry.worker,
            _names(entry.confirmed),
            said["rows"],
            entry.action,
        )

    def drop_entry(self, action: str) -> None:
        """See Ledger."""
        self._run("DELETE FROM action_cache WHERE action = ?", action)

    def confirm(self, action: str, worker: str) -> None:
        """See Ledger."""
        entry = self.entry(action)
        if entry is not None:
            query = "UPDATE action_cache SET confirmed = ? WHERE action = ?"
            self._run(query, _names((*entry.confirmed, worker)), action)

    def set_disputed(self, action: str) -> None:
        """See Ledger."""
        self._run("UPDATE action_cache SET disputed = 1 WHERE action = ?", action)

    def add_vote(self, action: str, vote: Vote) -> None:
        """See Ledger."""
        query = "INSERT INTO votes (action, worker, digest, result) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        self._run(query, action, vote.worker, vote.digest, vote.result)

    def drop_votes(self, action: str, worker: str = "") -> None:
        """See Ledger."""
        if worker:
            self._run("DELETE FROM votes WHERE action = ? AND worker = ?", action, worker)
        else:
            self._run("DELETE FROM votes WHERE action = ?", action)

    def add_alarm(self, alarm: Alarm) -> None:
        """See Ledger."""
        self._run(
            "INSERT INTO alarms (action, job, shard, first_digest, first_worker, second_digest, second_worker,"
            " quarantined, time_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            alarm.action,
            alarm.job,
            alarm.shard,
            alarm.first_digest,
            alarm.first_worker,
            alarm.second_digest,
            alarm.second_worker,
            alarm.quarantined,
            alarm.time_ms,
        )

    def name_culprit(self, action: str, worker: str) -> None:
        """See Ledger."""
        query = (
            "UPDATE alarms SET quarantined = ?1"
            " WHERE action = ?2 AND quarantined = '' AND ?1 IN (first_worker, second_worker)"
        )
        self._run(query, worker, action)

    def put_worker(self, worker: KnownWorker) -> None:
        """See Ledger."""
        self._run(
            "INSERT INTO workers (name, host, slots, numerics, done, quarantined, seen_ms) VALUES (?, ?, ?, ?, 0, 0, ?)"
            " ON CONFLICT (name) DO UPDATE SET host = excluded.host, slots = excluded.slots,"
            " numerics = excluded.numerics, seen_ms = excluded.seen_ms",
            worker.name,
            worker.host,
            worker.slots,
            json.dumps(dict(worker.numerics), sort_keys=True),
            worker.seen_ms,
        )

    def count_done(self, worker: str) -> None:
        """See Ledger."""
        self._run("UPDATE workers SET done = done + 1 WHERE name = ?", worker)

    def set_quarantined(self, worker: str, *, value: bool) -> None:
        """See Ledger."""
        self._run(
            "INSERT INTO workers (name, host, slots, numerics, done, quarantined, seen_ms)"
            " VALUES (?1, '', 0, '{}', 0, ?2, 0) ON CONFLICT (name) DO UPDATE SET quarantined = ?2",
            worker,
            int(value),
        )

    def _run(self, query: str, *values: Any) -> None:
        self._connection.execute(query, values)


def _names(workers: Sequence[str]) -> str:
    return json.dumps(list(workers)) if workers else ""


def _columns(job: Job) -> tuple[Any, ...]:
    return (
        job.job,
        job.plan_digest,
        job.context,
        job.wish,
        json.dumps(asdict(job.summary)),
        json.dumps(asdict(job.options)),
        job.state,
        job.actor,
        job.created_ms,
        job.ended_ms,
        json.dumps([job.problem.reason, job.problem.message]) if job.problem else "",
        job.output_digest,
        job.report,
    )
