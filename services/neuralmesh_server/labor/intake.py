"""A result on its way in: read, held against the cache in one transaction, applied.

Workers are not trusted: what is no result of the shard counts as a failure of it, and what differs from the result that
there is raises an alarm.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import structlog

from neuralmesh_server import names
from neuralmesh_server.errors import AbortedError, FailedPreconditionError, InvalidArgumentError, NeuralMeshError
from neuralmesh_server.labor import verdicts
from neuralmesh_server.labor.plan import FAIL
from neuralmesh_server.labor.records import Claim, Problem
from neuralmesh_server.labor.results import parse_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.labor.dispatcher import Dispatcher
    from neuralmesh_server.labor.leases import Hold, LeaseTable
    from neuralmesh_server.labor.lifecycle import Lifecycle
    from neuralmesh_server.labor.records import Alarm
    from neuralmesh_server.labor.results import ActionResult
    from neuralmesh_server.labor.run import Run
    from neuralmesh_server.labor.shelf import Shelf
    from neuralmesh_server.labor.store import Store

log = structlog.get_logger()

MAX_RESULT_BYTES = 4 * 1024 * 1024
"""Largest canonical result; its output is apart from it."""


class Intake:
    """Takes results.

    Args:
        store: Where they are kept.
        shelf: Where their outputs are.
        leases: Those that hold.
        dispatcher: What is being run.
        lifecycle: Ends jobs that are complete.
        wake: Lets workers look again that wait for work.
        report: Returns the report of a job of some kind from the tallies of its shards.
        clock: Returns the time of the monotonic clock in seconds.
        wall: Returns the time in seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        *,
        leases: LeaseTable,
        dispatcher: Dispatcher,
        lifecycle: Lifecycle,
        wake: Callable[[], None],
        report: Callable[[str, Iterable[Fact]], Fact],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._leases = leases
        self._dispatcher = dispatcher
        self._lifecycle = lifecycle
        self._wake = wake
        self._report = report
        self._clock = clock
        self._wall = wall

    async def take(self, hold: Hold, result: bytes) -> None:
        """Take the result of a lease; where that is lost, it is compared only.

        Raises:
            AbortedError: LEASE_LOST.
            InvalidArgumentError: FIELD_INVALID, this is no result of the shard.
            FailedPreconditionError: ARTIFACT_MISSING, the output is not stored.
            PermissionDeniedError: WORKER_QUARANTINED.
            ResourceExhaustedError: STORAGE_FULL; the job has ended with it.
        """
        run = self._dispatcher.get(hold.job)
        if run is None:
            await self._compare(hold, result)
            raise lease_lost(hold.token)
        claim = await self._claim(run, hold, result)
        late = self._leases.get(hold.token) is None
        if hold.committing:  # the call was repeated, and the first one is on its way
            raise lease_lost(hold.token)
        now_ms = int(self._wall() * 1000)
        hold.committing = True
        try:
            outcome = await self._store.write(lambda ledger: verdicts.record(ledger, claim, now_ms, late=late))
        except NeuralMeshError as error:
            if error.reason == "STORAGE_FULL":
                await self._lifecycle.fail(run, Problem(error.reason, error.message))
            raise
        finally:
            hold.committing = False
        self._dispatcher.complete(None if late else hold, claim, outcome, self._clock())
        if outcome.alarm is not None:
            _shout(outcome.alarm, outcome.quarantined)
            await self._lifecycle.note(run, _words(run, outcome.alarm), outcome.alarm)
        for other in self._dispatcher if outcome.decided or outcome.quarantined else [run]:
            self._lifecycle.check(other)
        changed = outcome.withdrawn or outcome.decided or outcome.quarantined or outcome.voters
        if changed or hold.shard in run.audits:
            self._wake()
        if late:
            raise lease_lost(hold.token)

    async def _claim(self, run: Run, hold: Hold, result: bytes) -> Claim:
        """Read a result; nonsense is a failure of the shard."""
        try:
            said = self._read(run, hold, result)
        except InvalidArgumentError as error:
            if self._leases.get(hold.token) is not None:
                self._dispatcher.fail(hold, "OUTPUT_INVALID", error.message, retryable=True)
                self._lifecycle.check(run)
                self._wake()
            raise
        if not await self._shelf.has(said.output_digest, said.output_size):
            raise _missing(said.output_digest, run.describe(hold.shard))
        return _claim(run, hold, result, said)

    async def _compare(self, hold: Hold, result: bytes) -> None:
        """Hold the result of a job that has ended against the cache."""
        try:
            said = parse_result(result)
        except ValueError as error:
            raise _invalid(str(error)) from error
        if not await self._shelf.has(said.output_digest, said.output_size):
            raise _missing(said.output_digest, f"shard {hold.shard}")
        claim = Claim(
            job=hold.job,
            shard=hold.shard,
            action=hold.action,
            recipe="",
            input="",
            rows=0,
            result=result,
            digest=_digest(result),
            worker=hold.worker,
            unverified=hold.unverified,
            skipped=0,
            again=False,
        )
        now_ms = int(self._wall() * 1000)
        outcome = await self._store.write(lambda ledger: verdicts.record(ledger, claim, now_ms, late=True))
        self._dispatcher.complete(None, claim, outcome, self._clock())
        if outcome.alarm is not None:
            _shout(outcome.alarm, outcome.quarantined)
        self._wake()

    def _read(self, run: Run, hold: Hold, result: bytes) -> ActionResult:
        """Return a result that may be one of the shard; anything else raises."""
        where = run.describe(hold.shard)
        if len(result) > MAX_RESULT_BYTES:
            why = f"the result of {where} has {len(result)} bytes, apart from its file; it may have {MAX_RESULT_BYTES}"
            raise _invalid(f"{why}: shards of fewer rows have fewer labels and skipped rows to tell of")
        try:
            said = parse_result(result)
            report: Any = self._report(run.plan.recipe.kind, [said.tally])
            counted = said.rows if report is None else report["rows"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise _invalid(f"the result of {where} cannot be read: {error}") from error
        if not names.DIGEST.fullmatch(said.output_digest):
            raise _invalid(f"the result of {where} names no output")
        if said.skipped and run.plan.recipe.bad_rows == FAIL:
            raise _invalid(f"the result of {where} skips rows, which this job does not permit")
        rows = said.rows + sum(entry.rows for entry in said.skipped)
        wanted = run.plan.shards[hold.shard].rows
        if rows != wanted:
            raise _invalid(f"the result of {where} tells of {rows} rows; there are {wanted}")
        if counted != said.rows or (said.skipped and said.skipped[-1].first + said.skipped[-1].rows > wanted):
            raise _invalid(f"the result of {where} counts {counted} rows of {said.rows}, or skips some beyond its end")
        return said


def _shout(alarm: Alarm, quarantined: Sequence[str]) -> None:
    log.error(
        "nondeterminism",
        job=alarm.job,
        shard=alarm.shard,
        action=alarm.action,
        first=alarm.first_worker,
        second=alarm.second_worker,
        quarantined=list(quarantined),
    )


def _words(run: Run, alarm: Alarm) -> str:
    first, second = f"{alarm.first_digest} from {alarm.first_worker!r}", f"{alarm.second_digest} from"
    return f"{run.describe(alarm.shard)} gave two results: {first}, {second} {alarm.second_worker!r}"


def lease_lost(token: int) -> AbortedError:
    """Return the error of a lease that does not hold."""
    return AbortedError(
        "LEASE_LOST", f"lease {token} does not hold: its shard was given to another worker", token=token
    )


def _missing(digest: str, where: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "ARTIFACT_MISSING", f"the output {digest} of {where} is not stored", digest=digest, shard=where
    )


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _claim(run: Run, hold: Hold, result: bytes, said: ActionResult) -> Claim:
    shard = run.plan.shards[hold.shard]
    return Claim(
        job=hold.job,
        shard=hold.shard,
        action=run.actions[hold.shard],
        recipe=run.recipe,
        input=shard.input_digest,
        rows=shard.rows,
        result=result,
        digest=_digest(result),
        worker=hold.worker,
        unverified=run.unverified,
        skipped=sum(entry.rows for entry in said.skipped),
        again=hold.again,
    )


def _invalid(why: str) -> InvalidArgumentError:
    return InvalidArgumentError("FIELD_INVALID", why, field="result")
