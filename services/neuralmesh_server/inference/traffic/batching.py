"""Dynamic batching: requests of one version that wait at the same time run as one.

A batch begins when it is full, or when its first request has waited for the policy's delay and no other batch of the
version runs; while one runs, the next collects. A request that fails its batch is found by running them one by one, so
that it fails alone. Which requests may be joined is for `lanes` to say. Belongs to the loop.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from neuralmesh_server.errors import DeadlineExceededError, NeuralMeshError, UnavailableError
from neuralmesh_server.inference.traffic import joining
from neuralmesh_server.inference.traffic.admission import expired, stops
from neuralmesh_server.inference.traffic.lines import HIGHEST, LOWEST, Want

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuralmesh_server.inference.backends.execution import Execution, Output
    from neuralmesh_server.inference.inputs import Inputs
    from neuralmesh_server.inference.policy import Batching, ModelPolicy
    from neuralmesh_server.inference.serving import LoadedModel
    from neuralmesh_server.inference.traffic.admission import Admission, Admitted

Key: TypeAlias = tuple[int, tuple[tuple[int, ...], ...]]
"""Identity of a loaded version, since one that is loaded again is another one, and the shape of its inputs."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What a request got: its outputs, the rows of its batch (0 when it ran alone), and the runs to count for it."""

    outputs: list[Output]
    batch_rows: int
    executions: int


@dataclass(slots=True, eq=False)
class _Member:
    """A request that waits, or runs in a batch; moments are on `time.monotonic`."""

    inputs: Inputs
    want: Want
    deadline: float | None
    answer: asyncio.Future[Joined]
    since: float
    timer: asyncio.TimerHandle | None = None

    def refuse(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def give(self, joined: Joined) -> None:
        if not self.answer.done():
            self.answer.set_result(joined)


@dataclass(slots=True, eq=False)
class _Ask:
    """A batch that waits for its place, and the level at which it does."""

    want: Want
    level: int


@dataclass(slots=True, eq=False)
class _Group:
    """Requests that may be joined: one version, one shape."""

    key: Key
    loaded: LoadedModel
    policy: ModelPolicy
    batching: Batching
    waiting: tuple[dict[int, _Member], ...] = field(
        default_factory=lambda: tuple({} for _ in range(HIGHEST, LOWEST + 1))
    )
    rows: int = 0
    asking: int = 0
    asked: list[_Ask] = field(default_factory=list)
    running: int = 0
    timer: asyncio.TimerHandle | None = None

    def members(self) -> Iterator[tuple[int, _Member]]:
        """Yield who waits, in the order in which they run."""
        for level in self.waiting:
            yield from list(level.items())

    def answered(self, ask: _Ask) -> None:
        """Take note that a batch waits no longer."""
        self.asking -= 1
        self.asked.remove(ask)

    def oldest(self) -> float:
        """Return since when the first to come waits."""
        return min(next(iter(level.values())).since for level in self.waiting if level)

    def remove(self, number: int, member: _Member) -> bool:
        """Take out a member; returns whether it still waited."""
        found = self.waiting[member.want.level - HIGHEST].pop(number, None) is not None
        if found:
            self.rows -= member.inputs.rows
        return found


class Batches:
    """Collects and runs batches.

    Args:
        execution: What runs them.
        admission: What says when.
    """

    def __init__(self, execution: Execution, admission: Admission) -> None:
        self._execution = execution
        self._admission = admission
        self._groups: dict[Key, _Group] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._apart: set[tuple[str, int, str]] = set()
        self._numbers = 0

    def apart(self, loaded: LoadedModel) -> bool:
        """Say whether a version turned out to be one whose batches cannot be split."""
        return (loaded.model, loaded.version, loaded.digest) in self._apart

    async def join(
        self,
        policy: ModelPolicy,
        batching: Batching,
        loaded: LoadedModel,
        inputs: Inputs,
        want: Want,
        *,
        deadline: float | None,
    ) -> Joined:
        """Return what a request got in its batch.

        Args:
            policy: What holds for the model.
            batching: Its part about batches.
            loaded: The version.
            inputs: Fewer rows than a batch may have, and at least one.
            want: As for `Admission.admit`.
            deadline: When the caller stops waiting, on `time.monotonic`; None for never.

        Raises:
            NeuralMeshError: As `Admission.admit` and `Execution.run`.
        """
        self._admission.reserve(loaded.model, policy.limits, want)
        group = self._group(policy, batching, loaded, inputs)
        loop = asyncio.get_running_loop()
        self._numbers += 1
        number = self._numbers
        member = _Member(inputs, want, deadline, loop.create_future(), time.monotonic())
        if want.until is not None:
            member.timer = loop.call_later(max(want.until - member.since, 0.0), self._expire, group, number, member)
        group.waiting[want.level - HIGHEST][number] = member
        group.rows += inputs.rows
        self._hasten(group, want.level)
        self._consider(group)
        try:
            return await member.answer
        except asyncio.CancelledError:
            self._leave(group, number, member)
            raise
        finally:
            if member.timer is not None:
                member.timer.cancel()

    def _group(self, policy: ModelPolicy, batching: Batching, loaded: LoadedModel, inputs: Inputs) -> _Group:
        key = (id(loaded), joining.shape_of(inputs))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(key, loaded, policy, batching)
        group.policy, group.batching = policy, batching
        return group

    def _hasten(self, group: _Group, level: int) -> None:
        """Let the batches that will take the requests of a level, and wait behind it, wait among its own."""
        if all(ask.level <= level for ask in group.asked):
            return
        rows = sum(member.inputs.rows for _, member in group.members() if member.want.level <= level)
        for ask in group.asked[: -(-rows // group.batching.max_rows)]:
            if ask.level > level:
                ask.level = level
                self._admission.hasten(group.loaded.model, ask.want, level)

    def _consider(self, group: _Group) -> None:
        """Begin the batches that are due, and see to it that the rest is looked at again."""
        while group.rows // group.batching.max_rows > group.asking:
            self._begin(group)
        if not group.rows:
            self._forget(group)
        elif not group.asking and not group.running and group.timer is None:
            seconds = group.oldest() + group.batching.max_delay_us * 1e-6 - time.monotonic()
            group.timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), self._due, group)

    def _due(self, group: _Group) -> None:
        group.timer = None
        if group.rows and not group.asking and not group.running:
            self._begin(group)

    def _begin(self, group: _Group) -> None:
        if group.timer is not None:
            group.timer.cancel()
            group.timer = None
        group.asking += 1
        members: list[_Member] = []
        task = asyncio.create_task(self._batch(group, members))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: _ended(members, done))

    async def _batch(self, group: _Group, members: list[_Member]) -> None:
        """Wait for a place, take who waits then, run them."""
        first = next((member.want for _, member in group.members()), None)
        want = Want(
            version=group.loaded.version,
            level=LOWEST if first is None else first.level,
            threaded=True,
            until=None,
            cost_ns=group.loaded.cost_ns(group.batching.max_rows),
            shared=first is not None and first.shared,
        )
        ask = _Ask(want, want.level)
        group.asked.append(ask)
        try:
            place = await self._admission.admit(group.loaded.model, group.policy.limits, want, reserved=True)
        except UnavailableError as error:  # the node stops
            group.answered(ask)
            self._refuse(group, error)
            return
        group.answered(ask)
        group.running += 1
        try:
            self._take(group, members)
            task = asyncio.current_task()
            assert task is not None
            for member in members:
                member.answer.add_done_callback(lambda _: _abandon(members, task))
            if members:
                await self._run(group.loaded, members, place)
        finally:
            place.release()
            group.running -= 1
            self._consider(group)

    def _take(self, group: _Group, taken: list[_Member]) -> None:
        """Find the members of the next batch."""
        loop, now = asyncio.get_running_loop(), time.monotonic()
        rows = 0
        for number, member in group.members():
            if taken and rows + member.inputs.rows > group.batching.max_rows:
                break
            self._leave(group, number, member)
            if member.timer is not None:
                member.timer.cancel()
            if member.deadline is not None:
                if member.deadline <= now:
                    member.refuse(expired(now - member.since))
                    continue
                member.timer = loop.call_later(member.deadline - now, _too_late, member)
            group.loaded.activity.waited(int((now - member.since) * 1e9))
            rows += member.inputs.rows
            taken.append(member)

    async def _run(self, loaded: LoadedModel, members: list[_Member], place: Admitted) -> None:
        if len(members) == 1:
            await self._alone(loaded, members[0], place)
            return
        batch = joining.join([member.inputs for member in members])
        deadlines = [member.deadline for member in members]
        remaining = None if None in deadlines else max(at for at in deadlines if at is not None) - time.monotonic()
        began = time.perf_counter_ns()
        try:
            outputs = await self._execution.run(loaded, batch.rows, batch.raw, batch.arrays, remaining, place=place)
            parts = joining.split(outputs, [member.inputs.rows for member in members])
        except DeadlineExceededError as error:
            for member in members:
                member.refuse(error)
            return
        except joining.UnsplittableError:
            self._apart.add((loaded.model, loaded.version, loaded.digest))
        except NeuralMeshError:
            pass  # whose fault it is shows below
        else:
            loaded.activity.batched(batch.rows, time.perf_counter_ns() - began)
            for index, (member, part) in enumerate(zip(members, parts, strict=True)):
                member.give(Joined(part, batch.rows, 0 if index else 1))
            return
        for member in members:
            await self._alone(loaded, member, place)

    async def _alone(self, loaded: LoadedModel, member: _Member, place: Admitted) -> None:
        if member.answer.done():
            return
        remaining = None if member.deadline is None else member.deadline - time.monotonic()
        inputs = member.inputs
        try:
            outputs = await self._execution.run(loaded, inputs.rows, inputs.raw, inputs.arrays, remaining, place=place)
        except NeuralMeshError as error:
            member.refuse(error)
        else:
            member.give(Joined(outputs, 0, 1))

    def close(self) -> None:
        """Refuse what waits: nothing of it ran. What runs is for `Execution` to end."""
        for group in list(self._groups.values()):
            self._refuse(group, stops())

    def _refuse(self, group: _Group, error: UnavailableError) -> None:
        for number, member in group.members():
            self._leave(group, number, member)
            member.refuse(error)

    def _leave(self, group: _Group, number: int, member: _Member) -> None:
        """Let a member wait no longer, if it still does."""
        if group.remove(number, member):
            self._admission.unreserve(group.loaded.model, member.want)
            self._forget(group)

    def _expire(self, group: _Group, number: int, member: _Member) -> None:
        self._leave(group, number, member)
        member.refuse(expired(time.monotonic() - member.since))

    def _forget(self, group: _Group) -> None:
        if not group.rows and not group.asking and not group.running and self._groups.get(group.key) is group:
            if group.timer is not None:
                group.timer.cancel()
                group.timer = None
            del self._groups[group.key]


def _too_late(member: _Member) -> None:
    member.refuse(DeadlineExceededError("DEADLINE_EXPIRED", "the deadline passed while the batch ran"))


def _abandon(members: list[_Member], batch: asyncio.Task[None]) -> None:
    """End a batch that nobody waits for any more."""
    if all(member.answer.done() for member in members):
        batch.cancel()


def _ended(members: list[_Member], batch: asyncio.Task[None]) -> None:
    """Tell those who still wait for a batch what it died of."""
    if not batch.cancelled() and (error := batch.exception()) is not None:
        for member in members:
            member.refuse(error)
