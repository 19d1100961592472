"""What time changes: leases end, workers fall silent, and second runs wait in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.labor.records import Problem

if TYPE_CHECKING:
    from neuralmesh_server.labor.dispatcher import Dispatcher
    from neuralmesh_server.labor.leases import LeaseTable
    from neuralmesh_server.labor.roster import Present, Roster
    from neuralmesh_server.labor.run import Run
    from neuralmesh_server.labor.timing import Timing

log = structlog.get_logger()


class Watchdog:
    """Looks at leases, workers and jobs that are stuck; it decides, and waits for nothing itself.

    Attributes:
        gone: Workers that were found to be gone, until somebody has taken note.
    """

    def __init__(self, dispatcher: Dispatcher, leases: LeaseTable, roster: Roster, timing: Timing) -> None:
        self._dispatcher = dispatcher
        self._leases = leases
        self._roster = roster
        self._timing = timing
        self.gone: list[Present] = []

    def look(self, now: float) -> bool:
        """Apply what the time has changed; says whether somebody who waits for work might get some."""
        woken = self._expire(now)
        for name in self._roster.silent(now - self._timing.silent_seconds):
            self._bury(name)
            woken = True
        for run in self._dispatcher:
            woken |= self._unstick(run, now)
            woken |= any(run.straggler(worker.card.name, now) is not None for worker in self._roster if worker.asking)
        return woken

    def _expire(self, now: float) -> bool:
        over = list(self._leases.expired(now))
        self._dispatcher.vanish(over)
        for hold in over:
            log.info("lease_expired", job=hold.job, shard=hold.shard, worker=hold.worker)
            present = self._roster.get(hold.worker)
            if present is not None and not present.asking and not self._leases.of_worker(hold.worker):
                self._bury(hold.worker)  # it renews nothing any more
        return bool(over)

    def _bury(self, name: str) -> None:
        present = self._roster.get(name)
        if present is not None:
            log.info("worker_gone", worker=name)
            self.gone.append(present)
            self._dispatcher.leave(name, counts=True)

    def _unstick(self, run: Run, now: float) -> bool:
        """End the wait for a worker that nobody has seen: of a dispute by failing, of audits by own audits."""
        able = {worker.card.name for worker in self._roster.able(run.plan.recipe.versions)}
        waiting = [runs for runs in (run.disputes, run.audits) if runs]
        if not waiting or not able or not run.idle or any(runs.others(able) for runs in waiting):
            run.stuck_since = None
            return False
        if run.stuck_since is None:
            run.stuck_since = now
        if now - run.stuck_since < self._timing.patience_seconds:
            return False
        if run.disputes:
            shard = run.disputes.lowest()
            workers = sorted(run.disputes.vouchers(shard))
            said = f"{run.describe(shard)} gave different results on workers {', '.join(map(repr, workers))}"
            run.attempts.end(shard, Problem("NONDETERMINISTIC", f"{said}, and no other worker is there to decide"))
            return False
        run.own_audits = True
        return True
