"""One worker of the array: leases shards in its name, has processes run them, and delivers what they leave.

Each process has a shard beside the one that it runs, so that it never waits for the loop. One that dies is seen at
once: its shards, whose leases still hold, go to the next process, unless they were there too often when one died.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from neuralmesh_server.errors import AbortedError, NeuralMeshError, PermissionDeniedError
from neuralmesh_server.inference.links import LinkError
from neuralmesh_server.labor import context
from neuralmesh_server.labor_engines import messages
from neuralmesh_server.labor_engines.failures import Failure, failure
from neuralmesh_server.labor_engines.seat import Held, Seat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from pathlib import Path

    from neuralmesh_server.labor.desk import Desk, WorkerCard
    from neuralmesh_server.labor_engines.seat import Process
    from neuralmesh_server.labor_engines.versions import Versions

log = structlog.get_logger()

DEPTH = 2
"""Shards that a process has: the one that it runs and the next."""

WAIT_SECONDS = 10.0
"""How long the desk may look for work before it answers with none."""

RENEWALS = 3
"""Renewals within the time of a lease."""

DEATHS = 3
"""Processes that may die over a shard before its lease is given back."""

CRASHES = 5
"""Processes in a row that die without having done anything, after which this is an error and no mischance."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 10.0
QUARANTINE_SECONDS = 30.0
"""After which a worker in quarantine asks whether it was released."""

JOBS_KEPT = 8


class StartError(Exception):
    """The processes of a worker end before they are ready for anything, one after the other."""


class Station:
    """A worker; belongs to the loop.

    Args:
        desk: Where work comes from and results go.
        card: Who it is.
        versions: Where files of versions are.
        results: Folder that processes leave files of results in.
        start: Starts a process; raises OSError.
        idle_seconds: Without work for this long, `run` returns; None for never.
        give_up: End where no process becomes ready; else what keeps them from it may be mended meanwhile.

    Attributes:
        crashing: Why processes die before they have done anything; empty while they do not.
        quarantined: The desk gives it no work, since its results differed from those of others.
    """

    def __init__(
        self,
        desk: Desk,
        card: WorkerCard,
        versions: Versions,
        results: Path,
        start: Callable[[], Awaitable[Process]],
        *,
        idle_seconds: float | None = None,
        give_up: bool = False,
    ) -> None:
        self.card = card
        self.crashing = ""
        self.quarantined = False
        self._desk = desk
        self._versions = versions
        self._results = results
        self._start = start
        self._idle_seconds = idle_seconds
        self._give_up = give_up
        self._seats = [Seat(number) for number in range(card.slots)]
        self._held: dict[int, Held] = {}
        self._waiting: deque[Held] = deque()
        self._jobs: dict[str, dict[str, Any]] = {}
        self._room = asyncio.Event()
        """Set while processes that are ready could have more shards: none is leased for one that still starts."""
        self._deliveries: set[asyncio.Task[None]] = set()
        self._defect: asyncio.Future[None] | None = None

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes that run."""
        return [seat.process.pid for seat in self._seats if seat.process is not None]

    async def run(self) -> None:
        """Work until cancelled, or until there was nothing to do for long enough.

        Raises:
            StartError: With `give_up`: none of its processes becomes ready.
        """
        rest = [asyncio.create_task(self._sit(seat)) for seat in self._seats]
        rest.append(asyncio.create_task(self._renew()))
        lease = asyncio.create_task(self._lease())
        self._defect = asyncio.get_running_loop().create_future()
        try:
            done, _ = await asyncio.wait([lease, self._defect, *rest], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a defect ends the worker
        finally:
            for task in (lease, *rest, *self._deliveries):
                task.cancel()
            await asyncio.gather(lease, *rest, *self._deliveries, return_exceptions=True)
            await self._goodbye()

    async def _goodbye(self) -> None:
        try:
            await self._desk.leave(self.card)
        except NeuralMeshError as error:
            log.info("labor_goodbye_failed", worker=self.card.name, reason=error.reason)

    async def _lease(self) -> None:
        loop = asyncio.get_running_loop()
        busy, pause = loop.time(), 0.0
        while True:
            await self._room.wait()
            wanted = max(self._capacity() - self._underway(), 1)  # a process may have ended in between
            wait = WAIT_SECONDS if self._idle_seconds is None else min(WAIT_SECONDS, self._idle_seconds)
            asked = loop.time()
            try:
                leases = await self._desk.lease(self.card, wanted, wait)
            except NeuralMeshError as error:
                pause = await self._pause(pause, error)
                leases = ()
            else:
                pause, self.quarantined = 0.0, False
            for lease in leases:
                self._held[lease.token] = Held(lease)
            for job in dict.fromkeys(lease.job for lease in leases):
                await self._learn(job)
            known = [lease for lease in leases if lease.job in self._jobs]  # the others are given back
            self._waiting.extend(self._held[lease.token] for lease in known if lease.token in self._held)
            self._deal()
            if not leases and loop.time() - asked < FIRST_PAUSE_SECONDS:
                await asyncio.sleep(FIRST_PAUSE_SECONDS)  # a desk that closes does not wait
            if self._held:
                busy = loop.time()
            elif self._idle_seconds is not None and loop.time() - busy >= self._idle_seconds:
                return

    async def _pause(self, pause: float, error: NeuralMeshError) -> float:
        """Wait after a refusal of the desk; returns the pause to wait after the next one."""
        if error.reason == "WORKER_QUARANTINED":
            if not self.quarantined:
                log.error("labor_worker_quarantined", worker=self.card.name, why=error.message)
            self.quarantined = True
            await asyncio.sleep(min(QUARANTINE_SECONDS, self._idle_seconds or QUARANTINE_SECONDS))
            return 0.0
        log.warning("labor_desk_refused", worker=self.card.name, reason=error.reason, why=error.message)
        pause = min(max(pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause)
        return pause

    async def _learn(self, name: str) -> None:
        """Have what a job's shards have in common; where that fails, its leases are given back."""
        if name in self._jobs:
            return
        try:
            data = await self._desk.context(name)
            found = context.parse(data)
            files = [await self._fetched(pin) for pin in found.recipe.versions]
        except LinkError as error:
            self._give_back(name, Failure("PEER_UNREACHABLE", f"the registry gave no files: {error}", retryable=True))
        except (NeuralMeshError, OSError) as error:
            self._give_back(name, replace(failure(error), retryable=True))  # nothing was run
        except ValueError as error:
            self._give_back(name, Failure("INTERNAL", str(error), retryable=True))
        else:
            self._jobs[name] = {"job": name, "context": data.decode(), "files": files}
            for old in list(self._jobs)[:-JOBS_KEPT]:
                if old not in {held.lease.job for held in self._held.values()}:
                    del self._jobs[old]
                    self._tell_closed(old)

    async def _fetched(self, pin: Any) -> dict[str, str]:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return {name: str(path) for name, path in (await self._versions.files(pin)).items()}
            except LinkError as error:
                if not error.unreachable or pause > LONGEST_PAUSE_SECONDS:
                    raise
            await asyncio.sleep(pause)  # leases are renewed meanwhile
            pause *= 2

    def _tell_closed(self, job: str) -> None:
        for seat in self._seats:
            if job in seat.jobs and seat.process is not None:
                seat.jobs.discard(job)
                seat.process.send({"close": job})

    def _give_back(self, job: str, why: Failure) -> None:
        for token in [token for token, held in self._held.items() if held.lease.job == job]:
            del self._held[token]
            self._deliver(self._tell(token, why))

    def _capacity(self) -> int:
        return DEPTH * len(self.pids)

    def _underway(self) -> int:
        return len(self._waiting) + sum(len(seat.shards) for seat in self._seats)

    def _deal(self) -> None:
        """Hand what waits to the processes that have least."""
        seats = [seat for seat in self._seats if seat.process is not None]
        while self._waiting and seats:
            seat = min(seats, key=lambda seat: len(seat.shards))
            if len(seat.shards) >= DEPTH:
                break
            held = self._waiting.popleft()
            lease = held.lease
            assert seat.process is not None
            if lease.job not in seat.jobs:
                seat.process.send({"open": self._jobs[lease.job]})
                seat.jobs.add(lease.job)
            seat.shards[lease.token] = held
            seat.process.send({"run": messages.lease_fact(lease)})
        if self._underway() < self._capacity():
            self._room.set()
        else:
            self._room.clear()

    async def _sit(self, seat: Seat) -> None:
        """Keep a process running."""
        failures = 0
        while True:
            seat.done = 0
            seat.stillborn += 1
            how = await self._process(seat)
            failures = 0 if seat.done else failures + 1
            log.warning("labor_process_ended", worker=self.card.name, seat=seat.number, how=how)
            self._orphans(seat, how)
            if failures >= CRASHES:
                self.crashing = how
                log.error("labor_process_crashes", worker=self.card.name, seat=seat.number, times=failures, how=how)
                if not self.pids:
                    await self._abandon()
            if self._give_up and all(seat.stillborn >= CRASHES for seat in self._seats):
                raise StartError(
                    f"no process of worker {self.card.name!r} becomes ready for work: {CRASHES} in a row did not, the"
                    f" last one {how}"
                )
            if failures > 1:
                await asyncio.sleep(min(FIRST_PAUSE_SECONDS * 2**failures, LONGEST_PAUSE_SECONDS))

    async def _process(self, seat: Seat) -> str:
        """Run one process to its end; returns how it ended."""
        try:
            process = await self._start()
        except OSError as error:
            return f"could not be started: {error}"
        try:
            while (message := await process.receive()) is not None:
                if "ready" in message:
                    seat.process = process
                    seat.stillborn = 0
                elif "done" in message:
                    said = message["done"]
                    self._finished(seat, said["token"])
                    self._deliver(self._commit(said))
                else:
                    token, reason, why, retryable = message["failed"]
                    self._finished(seat, token)
                    self._deliver(self._fail(token, Failure(reason, why, retryable)))
                self._deal()
        finally:
            seat.process = None
            seat.jobs.clear()
            await process.end()
        return await process.ended()

    def _finished(self, seat: Seat, token: int) -> None:
        seat.shards.pop(token, None)
        seat.done += 1
        self.crashing = ""

    def _orphans(self, seat: Seat, how: str) -> None:
        """Queue again what a process had that is gone."""
        orphans = [held for token, held in seat.shards.items() if token in self._held]
        seat.shards.clear()
        if orphans:
            orphans[0].deaths += 1
            if orphans[0].deaths >= DEATHS:
                held = orphans.pop(0)
                why = f"shard {held.lease.shard} took {DEATHS} processes down; the last one {how}"
                self._deliver(self._fail(held.lease.token, Failure("MODEL_FAILED", why, retryable=True)))
        self._waiting.extendleft(reversed(orphans))
        self._deal()

    async def _abandon(self) -> None:
        """Give all leases back, since nothing here can run them."""
        if self._held:
            self._held.clear()
            self._waiting.clear()
            await self._goodbye()
            self._deal()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._desk.lease_seconds / RENEWALS)
            tokens = list(self._held)
            if not tokens:
                continue
            try:
                lost = await self._desk.renew(self.card, tokens)
            except NeuralMeshError as error:
                log.info("labor_renewal_failed", worker=self.card.name, reason=error.reason)
                continue
            for token in lost:
                self._lose(token)
            self._deal()

    def _lose(self, token: int) -> None:
        held = self._held.pop(token, None)
        if held is not None and held in self._waiting:
            self._waiting.remove(held)
        for seat in self._seats:
            if token in seat.shards and seat.process is not None:
                seat.process.send({"drop": token})

    def _deliver(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._deliveries.add(task)
        task.add_done_callback(self._delivered)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._deliveries.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._defect is not None and not self._defect.done():
            self._defect.set_exception(error)

    async def _commit(self, said: Mapping[str, Any]) -> None:
        path = self._results / said["file"]
        token = said["token"]
        try:
            await self._desk.store(self.card, said["digest"], path)
            await self._desk.complete(self.card, token, said["result"].encode(), said["nanoseconds"] / 1e9)
        except PermissionDeniedError as error:
            log.info("labor_result_refused", worker=self.card.name, reason=error.reason)
        except (NeuralMeshError, OSError) as error:
            if isinstance(error, AbortedError) and error.reason == "LEASE_LOST":
                log.info("labor_result_not_wanted", worker=self.card.name, reason=error.reason)
            else:
                await self._fail(token, replace(failure(error), retryable=True))  # the result itself may be right
        finally:
            path.unlink(missing_ok=True)
            self._held.pop(token, None)

    async def _fail(self, token: int, why: Failure) -> None:
        if self._held.pop(token, None) is not None:  # else the lease was lost before
            await self._tell(token, why)

    async def _tell(self, token: int, why: Failure) -> None:
        try:
            await self._desk.fail(self.card, token, why.reason, why.message, retryable=why.retryable)
        except NeuralMeshError as error:
            log.info("labor_failure_not_heard", worker=self.card.name, reason=error.reason, why=why.message)
