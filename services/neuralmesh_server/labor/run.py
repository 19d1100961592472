"""One job that runs, in memory: which shards have a result, who runs which, and what may be handed out next."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from neuralmesh_server.labor import audit, plan, progress, stragglers
from neuralmesh_server.labor.attempts import Attempts
from neuralmesh_server.labor.board import Board
from neuralmesh_server.labor.records import Progress

if TYPE_CHECKING:
    from neuralmesh_server.labor.leases import Hold
    from neuralmesh_server.labor.plan import Plan
    from neuralmesh_server.labor.records import Job
    from neuralmesh_server.labor.roster import Present

EVENT_SECONDS = 0.5
"""Least time between two events that only count."""

EVENTS = 200
"""Such events are further apart in a long job, by one part in so many of its time so far."""

CONFIRMED = 2
"""How often a result must have been given to be confirmed."""


class Run:
    """A job that runs.

    Args:
        job: The job.
        made: Its plan.
        floor: What was said of it already.
        now: The present time on the monotonic clock.

    Attributes:
        board: Shards that wait.
        audits: Shards with a result that another worker is to confirm.
        disputes: Shards whose results differ, by those who gave them.
        retries: Shards that failed, by those on whom they did: others try first.
        attempts: What failed.
        able: Names of the live workers that may run its versions.
        own_audits: There is nobody else, so that workers may audit themselves.
        stuck_since: Since when nothing could be handed out to anybody; None while something can.
        finishing: Its end is being stored.
        roster: State of the roster that the newest epoch follows.
    """

    def __init__(self, job: Job, made: Plan, floor: Progress, now: float) -> None:
        self.job = job
        self.plan = made
        self.recipe = made.recipe.digest()
        self.actions = list(made.actions())
        self.unverified = any(pin.numerics.level == plan.UNVERIFIED for pin in made.recipe.versions)
        self.board = Board([shard.cost for shard in made.shards], self.actions)
        self.audits = audit.SecondRuns()
        self.disputes = audit.SecondRuns()
        self.retries = audit.SecondRuns()
        self.attempts = Attempts(self.describe)
        self.able: frozenset[str] = frozenset()
        self.own_audits = False
        self.stuck_since: float | None = None
        self.finishing = False
        self._said = floor
        self._said_at = now
        self.roster = -1
        self._floor = floor
        self._since = now
        self._pace = stragglers.Pace()
        self._holds: dict[int, list[Hold]] = {}
        self._running = 0
        self._done = bytearray(len(made.shards))
        self._times = bytearray(len(made.shards))
        self._skipped: dict[int, int] = {}
        self._cached: set[int] = set()
        self._count = self._rows = self._cost = self._cached_cost = self._audited = 0
        self._all_rows = made.rows
        self._all_cost = sum(shard.cost for shard in made.shards)

    def describe(self, shard: int) -> str:
        """Return the words that name a shard, its file and its rows."""
        said = self.plan.shards[shard]
        file = self.plan.files[said.file].path
        return f"shard {shard} ({file}, rows {said.first_row} to {said.first_row + said.rows - 1})"

    def begin(self) -> None:
        """Let every shard without a result wait."""
        for shard in self.pending():
            if shard not in self.disputes:
                self.board.put(shard)

    def pending(self) -> list[int]:
        """Return the shards without a result, ascending."""
        return [shard for shard, done in enumerate(self._done) if not done]

    def is_done(self, shard: int) -> bool:
        """Say whether a shard has a result."""
        return bool(self._done[shard])

    @property
    def complete(self) -> bool:
        """True when every shard has a result, and nothing is to be confirmed."""
        return self._count == len(self._done) and not self.audits and not self.disputes

    @property
    def failed(self) -> bool:
        """True when a shard cannot be run and all shards before it have a result."""
        bound = self.attempts.bound
        if bound is None:
            return False
        first = self._done.find(0)
        return first < 0 or first >= bound

    @property
    def idle(self) -> bool:
        """True when nothing waits for just anybody and nothing is being run."""
        return not self.board.waiting and not self._holds and not self.retries

    def result(self, shard: int, skipped: int, vouchers: frozenset[str], times: int, *, cached: bool = False) -> None:
        """Note that a shard has a result that was given so many times by these."""
        said = self.plan.shards[shard]
        if not self._done[shard]:
            self._done[shard] = 1
            self._count += 1
            self._rows += said.rows
            self._cost += said.cost
            if skipped:
                self._skipped[shard] = skipped
            if cached:
                self._cached.add(shard)
                self._cached_cost += said.cost
            self.board.remove(shard)
            self.disputes.close(shard)
            self.retries.close(shard)
            bound = self.attempts.bound
            self.attempts.done(shard)
            if bound is not None and self.attempts.bound != bound:
                self._refill()
        self.confirmed(shard, vouchers, times)

    def confirmed(self, shard: int, vouchers: frozenset[str], times: int) -> None:
        """Note how often a result was given by now, and whether that is enough for the job."""
        if times >= CONFIRMED and self._times[shard] < CONFIRMED:
            self._audited += 1
        self._times[shard] = min(times, 255)
        if times >= CONFIRMED:
            self.audits.close(shard)
        elif audit.chosen(self.actions[shard], self.job.options.audit_ppm):
            self.audits.add(shard, vouchers)

    def reopen(self, shard: int, voters: frozenset[str] = frozenset()) -> None:
        """Take the result from a shard; where it is disputed by some, only others may run it."""
        self.audits.close(shard)
        self.retries.close(shard)
        if self._done[shard]:
            said = self.plan.shards[shard]
            self._done[shard] = 0
            self._count -= 1
            self._rows -= said.rows
            self._cost -= said.cost
            self._skipped.pop(shard, None)
            if shard in self._cached:
                self._cached.remove(shard)
                self._cached_cost -= said.cost
            if self._times[shard] >= CONFIRMED:
                self._audited -= 1
            self._times[shard] = 0
        if voters:
            self.board.remove(shard)
            self.disputes.add(shard, voters)
            for hold in self._holds.get(shard, ()):  # they go on, and vote
                hold.again = True
        else:
            self.disputes.close(shard)
            self._put_back(shard)

    def take(self, worker: Present, limit: int, now: float) -> list[tuple[int, bool]]:
        """Return what a worker should run next, up to `limit`: shards, and whether each is run again to compare."""
        name = worker.card.name
        taken: list[tuple[int, bool]] = []
        while len(taken) < limit and (shard := self.disputes.take(name)) is not None:
            taken.append((shard, True))
        if taken:
            return taken
        while len(taken) < limit and (failed := self._take_failed(name)) is not None:
            taken.append((failed, False))
        if taken:
            return taken
        taken = self._take_waiting(worker, limit)
        wanted = 0 if self.board.waiting or self.attempts.bound is not None else min(limit, len(worker.slots))
        while len(taken) < wanted and (shard := self.audits.take(name, own=self.own_audits)) is not None:
            taken.append((shard, True))
        if not taken and (late := self.straggler(name, now)) is not None:
            taken.append((late, False))
        return taken

    def _take_failed(self, worker: str) -> int | None:
        """Take a shard that failed on others; where it failed on everybody who lives, again one that failed here."""
        if not self.retries:
            return None
        shard = self.retries.take(worker)
        if shard is None and not self.retries.others(self.able):
            shard = self.retries.take(worker, own=True)
        return shard

    def _take_waiting(self, worker: Present, limit: int) -> list[tuple[int, bool]]:
        """Take from the board, less at once towards the end, so that all finish together."""
        epoch = self.board.epoch
        slots = len(epoch.slots) if epoch is not None else 1
        limit = min(limit, max(1, math.ceil(self.board.waiting * len(worker.slots) / (2 * slots))))
        taken: list[tuple[int, bool]] = []
        while len(taken) < limit and (shard := self.board.look(worker.slots)) is not None:
            alone = self.attempts.suspect(shard)
            if alone and taken:
                break
            self.board.remove(shard)
            taken.append((shard, False))
            if alone:
                break
        return taken

    def straggler(self, worker: str, now: float) -> int | None:
        """Return the shard that is late and that another worker runs, the one begun first; None where there is none.

        Most shards have to be done before; or all others are late, as where a process hangs that has a few of a few.
        """
        if self.board.waiting:
            return None
        bound = self.attempts.bound
        behind = 0
        late = []
        for shard, holds in self._holds.items():
            first = holds[0]
            if first.again or now - first.since <= self._pace.limit(self.plan.shards[shard].cost):
                continue
            behind += 1
            if len(holds) == 1 and first.worker != worker and (bound is None or shard < bound):
                late.append((first.since, shard))
        most = self._count >= stragglers.SHARE * len(self._done) or self._count + behind == len(self._done)
        return min(late)[1] if late and most else None

    def held(self, hold: Hold) -> None:
        """Note that somebody runs a shard."""
        self._holds.setdefault(hold.shard, []).append(hold)
        self._running += 1

    def dropped(self, hold: Hold) -> None:
        """Note that somebody runs a shard no longer, whatever came of it."""
        holds = self._holds.get(hold.shard)
        if holds is None or hold not in holds:
            return
        holds.remove(hold)
        self._running -= 1
        if not holds:
            del self._holds[hold.shard]

    def finished(self, hold: Hold, now: float) -> None:
        """Note how long a shard took that has a result now."""
        self._pace.note(now - hold.since, self.plan.shards[hold.shard].cost)

    def holds(self, shard: int) -> list[Hold]:
        """Return the leases of a shard."""
        return list(self._holds.get(shard, ()))

    def all_holds(self) -> list[Hold]:
        """Return all leases."""
        return [hold for holds in self._holds.values() for hold in holds]

    def hand_back(self, shard: int) -> None:
        """Let a shard be run again that nobody runs now: for the first time, to decide or to confirm."""
        if shard in self.disputes:
            self.disputes.add(shard, self.disputes.vouchers(shard))
        elif shard in self.audits:
            self.audits.add(shard, self.audits.vouchers(shard))
        elif shard in self.retries:
            self.retries.add(shard, self.retries.vouchers(shard))
        else:
            self._put_back(shard)

    def retry(self, shard: int, worker: str) -> None:
        """Let a shard be run again that a worker could not run, by others where there are some."""
        bound = self.attempts.bound
        if shard in self.disputes or shard in self.audits or self._done[shard]:
            self.hand_back(shard)
        elif shard not in self._holds and (bound is None or shard < bound):
            before = self.retries.vouchers(shard) if shard in self.retries else frozenset()
            self.retries.add(shard, before | {worker})

    def prune(self) -> None:
        """Hand nothing out any more from the lowest shard on that cannot be run."""
        bound = self.attempts.bound
        if bound is not None:
            for shard in list(self.board.shards()):
                if shard >= bound:
                    self.board.remove(shard)
            for shard in self.retries.shards():
                if shard >= bound:
                    self.retries.close(shard)

    def say(self, now: float) -> Progress:
        """Return the counts for an event that is stored now."""
        self._said, self._said_at = self.progress(now), now
        return self._said

    def has_news(self, now: float) -> bool:
        """Say whether counts changed, and the last event is so long ago that a long job has no endless history."""
        due = self._said_at + max(EVENT_SECONDS, (now - self._since) / EVENTS)
        return now >= due and replace(self.progress(now), remaining_ms=self._said.remaining_ms) != self._said

    def progress(self, now: float) -> Progress:
        """Return the counts at this moment."""
        run_cost = self._cost - self._cached_cost
        current = Progress(
            shards=len(self._done),
            done=self._count,
            cached=len(self._cached),
            audited=self._audited,
            running=self._running,
            rows=self._all_rows,
            done_rows=self._rows,
            skipped_rows=sum(self._skipped.values()),
            retries=self.attempts.retries,
            remaining_ms=progress.remaining_ms(now - self._since, run_cost, self._all_cost - self._cost),
        )
        self._floor = progress.at_least(self._floor, current)
        return self._floor

    def _put_back(self, shard: int) -> None:
        bound = self.attempts.bound
        wanted = not self._done[shard] and shard not in self._holds and shard not in self.retries
        if wanted and (bound is None or shard < bound):
            self.board.put(shard)

    def _refill(self) -> None:
        for shard in self.pending():
            if shard not in self.disputes:
                self._put_back(shard)
