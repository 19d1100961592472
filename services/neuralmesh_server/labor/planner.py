"""From a wish to its plan: the version resolved once, the data hashed on a thread, the cache asked."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from neuralmesh_server.errors import UnavailableError
from neuralmesh_server.labor import explain, planning
from neuralmesh_server.labor import spec as specs
from neuralmesh_server.labor.pending import Pending
from neuralmesh_server.labor.plan import COMPARE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuralmesh_server.datasets import Progress, RowShape
    from neuralmesh_server.labor.explain import CachedAction, Miss
    from neuralmesh_server.labor.plan import Plan, VersionPin
    from neuralmesh_server.labor.spec import JobSpec
    from neuralmesh_server.labor.store import Store, View

T = TypeVar("T")

THREADS = 2
"""Plans that are made at once; each hashes on threads of its own."""

NEAREST = 10_000
"""Most actions of the same version that are looked at to explain a miss."""


class Versions(Protocol):
    """What knows versions."""

    async def resolve(self, reference: str) -> Resolved:
        """Return the version that `model@alias` or `model/version` means now; raises NeuralMeshError."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A version as it was resolved.

    Attributes:
        pin: What plans say of it.
        inputs: The shape of a row of each input, -1 for any size; empty where the version does not declare its inputs.
    """

    pin: VersionPin
    inputs: Mapping[str, RowShape] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExplainedMiss:
    """A shard whose result is not in the cache, and why."""

    shard: int
    miss: Miss


@dataclass(slots=True, eq=False)
class Making:
    """A plan on its way, and who is told how far it is."""

    task: asyncio.Task[Plan]
    listeners: list[Progress]


class Planner:
    """Makes plans. Equal wishes at one time share one plan, so that a repeat of a call joins the one before.

    Args:
        versions: Resolves versions.
        wall: Returns the time in seconds since 1970.

    Attributes:
        pending: The wishes of those who wait for a plan to be run.
    """

    def __init__(self, versions: Versions, wall: Callable[[], float] = time.time) -> None:
        self.pending = Pending(wall)
        self._versions = versions
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="labor-plan")
        self._making: dict[JobSpec, Making] = {}
        self._closed = False

    async def plan(self, spec: JobSpec, progress: Progress | None = None) -> Plan:
        """Return the plan of a wish; `progress` is told the bytes that are read and all bytes, on another thread.

        Raises:
            InvalidArgumentError: The wish is none.
            FailedPreconditionError: DATASET_INVALID or DATASET_CHANGED.
            NotFoundError: There is no such version.
        """
        specs.check(spec)
        making = self._making.get(spec)
        if making is None:
            listeners: list[Progress] = []
            making = self._making[spec] = Making(asyncio.create_task(self._plan(spec, listeners)), listeners)
            making.task.add_done_callback(lambda _: self._making.pop(spec, None))
        if progress is not None:
            making.listeners.append(progress)
        return await asyncio.shield(making.task)

    async def _plan(self, spec: JobSpec, listeners: Sequence[Progress]) -> Plan:
        found = [await self._versions.resolve(spec.version)]
        if spec.kind == COMPARE:
            found.append(await self._versions.resolve(spec.baseline))
        versions, takes = [one.pin for one in found], [one.inputs for one in found]

        def note(done: int, total: int) -> None:
            if self._closed:  # ends the thread, which nobody could end from outside
                raise UnavailableError("NOT_SERVING", "the labor service is stopping")
            for listener in tuple(listeners):
                listener(done, total)

        def make() -> Plan:
            made = planning.plan(spec, versions, spec.data, takes=takes, progress=note)
            made.digest  # noqa: B018 - computed on this thread, and kept
            return made

        return await self._call(make)

    async def explain(self, made: Plan, missing: Sequence[int], store: Store) -> list[ExplainedMiss]:
        """Say of shards whose results are not in the cache why they are not."""
        recipe = made.recipe.fact()
        digests = [pin.digest for pin in made.recipe.versions]

        def look(view: View) -> list[CachedAction]:
            facts = {digest: json.loads(fact) for digest, fact in view.recipes()}
            found: dict[str, CachedAction] = {}
            for shard in missing:
                wanted = made.shards[shard]
                for action, of, rows in view.actions_of_input(wanted.input_digest):
                    found[action] = explain.CachedAction(action, facts[of], wanted.input_digest, rows)
            for digest, fact in facts.items():
                if [version["digest"] for version in fact["versions"]] == digests:
                    for action, input_digest, rows in view.actions_of_recipe(digest, NEAREST):
                        found.setdefault(action, explain.CachedAction(action, fact, input_digest, rows))
            return list(found.values())

        cached = await store.read(look)

        def say() -> list[ExplainedMiss]:
            explainer = explain.Explainer(recipe, cached)
            shards = made.shards
            return [
                ExplainedMiss(shard, explainer.explain(shards[shard].input_digest, shards[shard].rows))
                for shard in missing
            ]

        return await self._call(say)

    async def close(self) -> None:
        """End what is under way: a plan that is being made is of no use any more, and reading may take hours."""
        self._closed = True
        tasks = [making.task for making in self._making.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
