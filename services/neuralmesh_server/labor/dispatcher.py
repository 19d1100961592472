"""All jobs that run and all workers that live, in memory: who gets what, and what a result changes.

Nothing here waits or stores; whatever must be durable is stored by the coordinator before it is applied here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.labor.desk import Lease
from neuralmesh_server.labor.figures import Figures
from neuralmesh_server.labor.leases import Hold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from neuralmesh_server.labor.desk import WorkerCard
    from neuralmesh_server.labor.leases import LeaseTable
    from neuralmesh_server.labor.records import Claim
    from neuralmesh_server.labor.roster import Present, Roster
    from neuralmesh_server.labor.run import Run
    from neuralmesh_server.labor.schedule import Epoch
    from neuralmesh_server.labor.verdicts import Outcome


class Dispatcher:
    """Hands out shards of the jobs with the highest priority, of equals those of the oldest.

    Args:
        leases: The leases.
        roster: The workers.
        lease_seconds: How long a lease holds without being renewed.

    Attributes:
        figures: Counts for operators.
    """

    def __init__(self, leases: LeaseTable, roster: Roster, lease_seconds: float) -> None:
        self._leases = leases
        self._roster = roster
        self._seconds = lease_seconds
        self._runs: dict[str, Run] = {}
        self._order: list[Run] = []
        self.figures = Figures()

    def get(self, job: str) -> Run | None:
        """Return a job that runs."""
        return self._runs.get(job)

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._order))

    def add(self, run: Run) -> None:
        """Begin to hand out a job's shards."""
        self._runs[run.job.job] = run
        self._order = sorted(self._runs.values(), key=lambda one: (-one.job.options.priority, one.job.sequence))

    def end(self, run: Run) -> None:
        """Hand out nothing more of a job; its leases are lost."""
        if self._runs.get(run.job.job) is run:
            del self._runs[run.job.job]
            self._order.remove(run)
        for hold in run.all_holds():
            run.dropped(hold)
            self._leases.lose(hold)

    def enter(self, card: WorkerCard, now: float) -> Present:
        """Note that a worker is there. What another process of the name had is given to others."""
        found = self._roster.get(card.name)
        if found is not None and found.card.incarnation != card.incarnation:
            self.vanish(self._leases.of_worker(card.name))
        return self._roster.enter(card, now)

    def place(self) -> list[tuple[str, Epoch]]:
        """Place the shards of all jobs whose live slots have changed; returns what is to be recorded."""
        begun = []
        for run in self._order:
            if run.roster == self._roster.changes:
                continue
            run.roster = self._roster.changes
            able = self._roster.able(run.plan.recipe.versions)
            run.able = frozenset(worker.card.name for worker in able)
            slots = sorted(slot for worker in able for slot in worker.slots)
            if slots and (run.board.epoch is None or list(run.board.epoch.slots) != slots):
                begun.append((run.job.job, run.board.enter(slots, run.pending())))
        return begun

    def pick(self, worker: Present, limit: int, now: float) -> list[Lease]:
        """Lease up to `limit` shards to a worker; all of one job, since only one job comes first."""
        for run in self._order:
            if run.finishing or not worker.runs(run.plan.recipe.versions):
                continue
            taken = run.take(worker, limit, now)
            if taken:
                return [self._grant(run, shard, worker, now, again=again) for shard, again in taken]
        return []

    def _grant(self, run: Run, shard: int, worker: Present, now: float, *, again: bool) -> Lease:
        card = worker.card
        hold = Hold(
            token=self._leases.next_token(),
            job=run.job.job,
            shard=shard,
            action=run.actions[shard],
            worker=card.name,
            incarnation=card.incarnation,
            since=now,
            until=now + self._seconds,
            again=again,
            unverified=run.unverified,
        )
        self._leases.grant(hold)
        self.figures.leases += 1
        run.held(hold)
        said = run.plan.shards[shard]
        return Lease(
            token=hold.token,
            job=run.job.job,
            shard=shard,
            action_digest=run.actions[shard],
            file=run.plan.files[said.file].path,
            first_row=said.first_row,
            rows=said.rows,
            input_digest=said.input_digest,
        )

    def vanish(self, holds: Iterable[Hold], *, counts: bool = True) -> None:
        """Give the work of leases to others. With `counts` the loss of its worker counts against each shard."""
        for hold in holds:
            self._leases.lose(hold)
            self.figures.lost += 1
            run = self._runs.get(hold.job)
            if run is None:
                continue
            run.dropped(hold)
            if not hold.again and run.is_done(hold.shard):
                continue
            if counts:
                run.attempts.lose(hold.shard)
            run.hand_back(hold.shard)
            run.prune()

    def fail(self, hold: Hold, reason: str, message: str, *, retryable: bool) -> None:
        """Give a shard back that its worker could not run."""
        self._leases.release(hold)
        self.figures.failures += 1
        run = self._runs.get(hold.job)
        if run is None:
            return
        run.dropped(hold)
        if run.is_done(hold.shard) and hold.shard not in run.audits:
            return
        # Where there is a result, somebody could run it.
        run.attempts.fail(hold.shard, reason, message, retryable=retryable or run.is_done(hold.shard))
        run.retry(hold.shard, hold.worker)
        run.prune()

    def complete(self, hold: Hold | None, claim: Claim, outcome: Outcome, now: float) -> None:
        """Apply what a result changed in the store. `hold` is None where it came too late."""
        run = self._runs.get(claim.job)
        self.figures.computed += outcome.taken and (hold is None or not hold.again)
        self.figures.confirmed += outcome.times > 1
        if hold is not None:
            self._leases.release(hold)
            if run is not None:
                run.dropped(hold)
                run.finished(hold, now)
        for action in outcome.decided:
            self._decide(action)
        for job, shard in outcome.withdrawn:
            other = self._runs.get(job)
            if other is not None:
                other.reopen(shard, outcome.voters if other.actions[shard] == claim.action else frozenset())
        if run is not None:
            self._settle(run, claim, outcome)
        for worker in outcome.quarantined:
            self.dismiss(worker)

    def _settle(self, run: Run, claim: Claim, outcome: Outcome) -> None:
        shard = claim.shard
        if outcome.voters:
            run.reopen(shard, outcome.voters)
        elif outcome.taken:
            run.result(shard, claim.skipped, outcome.vouchers, outcome.times)
            if outcome.alarm is not None and run.unverified:
                run.audits.close(shard)  # it was compared, and nothing is promised
            for hold in run.holds(shard):
                if not hold.again:
                    run.dropped(hold)
                    self._leases.lose(hold)
        elif outcome.vouchers and run.is_done(shard):
            run.confirmed(shard, outcome.vouchers, outcome.times)
        else:
            run.hand_back(shard)

    def _decide(self, action: str) -> None:
        """Let everybody run an action again on which there was no agreement."""
        for run in self._order:
            for shard in run.disputes.of(action, run.actions):
                run.reopen(shard)

    def dismiss(self, worker: str) -> None:
        """Give a worker no more work; what it has is given to others."""
        self._roster.quarantined.add(worker)
        self._roster.changes += 1
        self.vanish(self._leases.of_worker(worker), counts=False)

    def leave(self, worker: str, *, counts: bool) -> None:
        """Note that a worker is gone."""
        self.vanish(self._leases.of_worker(worker), counts=counts)
        self._roster.leave(worker)
