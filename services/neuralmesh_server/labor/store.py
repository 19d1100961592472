"""What the labor array asks of a store. Implementations are in store_*.py; only app.py chooses one.

All changes that one piece of work makes are committed together or not at all, and survive a power failure when `write`
returns. Reads see one committed state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from neuralmesh_server.labor.records import (
        Alarm,
        Claim,
        Entry,
        Job,
        JobEvent,
        KnownWorker,
        ShardResult,
        Vote,
    )
    from neuralmesh_server.labor.schedule import Epoch

T = TypeVar("T")


class KeptJob(NamedTuple):
    """A job whose results are kept, and which plan and output manifest it has; the latter only when it is committed."""

    job: str
    plan_digest: str
    output_digest: str


class View(Protocol):
    """One committed state."""

    def job(self, job: str) -> Job | None:
        """Return a job."""

    def jobs(self, before: int, limit: int) -> list[Job]:
        """Return jobs, newest first, that were submitted before the one of a sequence number; 0 for the newest."""

    def jobs_in(self, state: str) -> list[Job]:
        """Return all jobs in a state in order of their submission."""

    def kept_jobs(self, since_ms: int) -> list[KeptJob]:
        """Return the jobs that run, and those that ended or were submitted last at a time or later."""

    def count_jobs(self) -> dict[str, int]:
        """Return how many jobs are in which state."""

    def shard_results(self, job: str) -> list[ShardResult]:
        """Return the shards of a job that is not committed that have a result, ascending."""

    def count_shards(self, job: str) -> int:
        """Return how many shards of a job that is not committed have a result."""

    def events(self, job: str, after: int, limit: int) -> list[JobEvent]:
        """Return events of a job after a number."""

    def last_event(self, job: str) -> JobEvent | None:
        """Return the newest event of a job."""

    def epochs(self, job: str, after: int = 0) -> list[Epoch]:
        """Return the log of a job's placement after an epoch, one at least, and as much as fits an answer."""

    def last_epoch(self, job: str) -> Epoch | None:
        """Return its newest entry."""

    def entry(self, action: str) -> Entry | None:
        """Return the result of an action."""

    def entries(self, actions: Iterable[str]) -> dict[str, Entry]:
        """Return the results of those of many actions that have one on which nobody disagrees."""

    def votes(self, action: str) -> list[Vote]:
        """Return the results of an action on which workers do not agree, in order."""

    def disputed(self) -> dict[str, frozenset[str]]:
        """Return all actions on which workers do not agree, with those who gave a result."""

    def entries_of(self, worker: str) -> list[Entry]:
        """Return all results that a worker gave or confirmed."""

    def disputes_of(self, worker: str) -> list[str]:
        """Return the actions with a vote of a worker."""

    def actions_of_input(self, input_digest: str) -> list[tuple[str, str, int]]:
        """Return (action, digest of the recipe, rows) of the results that some rows have, by any recipe."""

    def actions_of_recipe(self, recipe: str, limit: int) -> list[tuple[str, str, int]]:
        """Return (action, digest of the input, rows) of results of a recipe, the first for each number of rows."""

    def recipe(self, digest: str) -> bytes | None:
        """Return the canonical bytes of a recipe that has results."""

    def recipes(self) -> list[tuple[str, bytes]]:
        """Return digests and canonical bytes of all recipes that have results."""

    def worker(self, name: str) -> KnownWorker | None:
        """Return a worker."""

    def workers(self) -> list[KnownWorker]:
        """Return all workers in byte order of their names."""

    def is_quarantined(self, worker: str) -> bool:
        """Say whether a worker gets no work."""

    def alarms(self, limit: int) -> list[Alarm]:
        """Return alarms, newest first."""

    def count_alarms(self) -> int:
        """Return how many alarms there were."""


class Ledger(View, Protocol):
    """The state that an open transaction sees and changes."""

    def next_generation(self) -> int:
        """Count the starts of the service; returns the number of this one, from 1."""

    def add_job(self, job: Job) -> Job:
        """Add a job; returns it with its sequence number."""

    def update_job(self, job: Job) -> None:
        """Replace a job that is stored."""

    def use_job(self, job: str, now_ms: int) -> None:
        """Note that somebody submitted a job that has ended and stands."""

    def drop_old_shards(self, since_ms: int) -> None:
        """Forget which shards have a result of jobs that are none of `kept_jobs`."""

    def drop_unused(self, outputs: Sequence[str]) -> set[str]:
        """Forget the results with one of these outputs on which no shard of a job rests and nobody disagrees.

        Returns the outputs that no result names any more.
        """

    def add_shard(self, job: str, shard: int, action: str, *, cached: bool) -> None:
        """Note that a shard has a result, the one of its action; repeating it changes nothing."""

    def add_shards(self, job: str, shards: Sequence[tuple[int, str]]) -> None:
        """Note many (shard, action) that have a result in the cache."""

    def drop_shards(self, job: str) -> None:
        """Forget which shards of a job have a result."""

    def withdraw(self, action: str) -> list[tuple[str, int]]:
        """Take the result from all shards of jobs that are not committed; returns (job, shard)."""

    def add_event(self, job: str, event: JobEvent) -> int:
        """Append an event; returns its number, from 1."""

    def add_epoch(self, job: str, epoch: Epoch) -> None:
        """Append to the log of a job's placement."""

    def add_recipe(self, digest: str, fact: bytes) -> None:
        """Keep a recipe; repeating it changes nothing."""

    def add_entry(self, claim: Claim) -> None:
        """Add the first result of an action."""

    def replace_entry(self, entry: Entry) -> None:
        """Replace the result of an action; it is disputed no more."""

    def drop_entry(self, action: str) -> None:
        """Forget the result of an action."""

    def confirm(self, action: str, worker: str) -> None:
        """Note that a worker gave the same result again."""

    def set_disputed(self, action: str) -> None:
        """Keep a result from being used until it is replaced."""

    def add_vote(self, action: str, vote: Vote) -> None:
        """Add a vote; the same again changes nothing."""

    def drop_votes(self, action: str, worker: str = "") -> None:
        """Drop the votes of a worker on an action, or of all."""

    def add_alarm(self, alarm: Alarm) -> None:
        """Append an alarm."""

    def name_culprit(self, action: str, worker: str) -> None:
        """Say in the alarms of an action that name a worker that it was outvoted, where nobody else was."""

    def put_worker(self, worker: KnownWorker) -> None:
        """Add or replace what is known of a worker; its count and its quarantine stay."""

    def count_done(self, worker: str) -> None:
        """Count a shard that a worker has finished."""

    def set_quarantined(self, worker: str, *, value: bool) -> None:
        """Give a worker no more work, or work again; it need not be known."""


class Store(Protocol):
    """Durable, with changes one after the other."""

    async def write(self, work: Callable[[Ledger], T]) -> T:
        """Run work that changes something; returns after the commit. Raises STORAGE_FULL."""

    async def read(self, work: Callable[[View], T]) -> T:
        """Run work that only reads."""

    def close(self) -> None:
        """Commit what waits, then close."""
