"""How checked requests reach a version: at once, through a bounded queue, or joined to batches.

A request that runs on the loop, of a model without limits, passes through here without meeting anything.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuralmesh_server.errors import InternalError
from neuralmesh_server.inference.traffic import joining
from neuralmesh_server.inference.traffic.admission import MAX_BYTES, Admission
from neuralmesh_server.inference.traffic.batching import Batches
from neuralmesh_server.inference.traffic.lines import DEFAULT_LEVEL, Want, level_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.inference.backends.backend import Upstream, UpstreamAnswer
    from neuralmesh_server.inference.backends.execution import Execution, Output
    from neuralmesh_server.inference.inputs import Inputs
    from neuralmesh_server.inference.policy import ModelPolicy
    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.serving import LoadedModel
    from neuralmesh_server.inference.traffic.admission import Admitted

UPSTREAM_RUNNING = 128
"""Most requests of one version that another server works on at once, where the model has no limit of its own."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a version gave for one request.

    Attributes:
        outputs: All outputs of the signature, in order.
        exact: How far this result repeats; see `backend.Model.exact`.
        parameters: What the answer says of it beside its own parameters; an upstream's.
        batch_rows: Rows of the batch in which it ran together with other requests; 0 where it ran alone.
        executions: Runs to count for it: 0 for all but one of the requests of a batch.
    """

    outputs: list[Output]
    exact: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    batch_rows: int = 0
    executions: int = 1


class Lanes:
    """Admits requests and runs them.

    Args:
        execution: What runs a version.
        threads: How many runs its threads can do at once.
        max_bytes: See `Admission`.
    """

    def __init__(self, execution: Execution, threads: int, max_bytes: int = MAX_BYTES) -> None:
        self._execution = execution
        self._admission = Admission(threads, max_bytes)
        self._batches = Batches(execution, self._admission)
        self._asking: set[asyncio.Timeout] = set()

    async def run(
        self,
        policy: ModelPolicy,
        loaded: LoadedModel,
        request: Request,
        inputs: Inputs,
        caller: Caller,
        *,
        shared: bool = False,
    ) -> Result:
        """Return what a version gives for a request.

        Args:
            policy: What holds for the model.
            loaded: The version that runs.
            request: The request, as it was held against the version's signature.
            inputs: What it runs on.
            caller: Who waits.
            shared: True when other versions of the model answer beside it, which must not wait for this one.

        Raises:
            ResourceExhaustedError: QUEUE_FULL. Nothing ran.
            DeadlineExceededError: DEADLINE_EXPIRED.
            UnavailableError: NOT_SERVING: the node stops.
            NeuralMeshError: What `Execution.run` or an upstream raises.
        """
        upstream = loaded.runner.upstream
        threaded = upstream is None and not self._execution.is_quick(loaded, inputs.rows)
        if upstream is None and not threaded and policy.limits.max_running is None:
            return await self._here(loaded, inputs, caller)
        want = _want(policy, loaded, request, inputs, caller, threaded=threaded, shared=shared)
        batching = policy.batching
        if threaded and batching is not None and self._joins(loaded, inputs, batching.max_rows):
            joined = await self._batches.join(policy, batching, loaded, inputs, want, deadline=caller.deadline)
            return Result(
                joined.outputs, loaded.runner.exact, batch_rows=joined.batch_rows, executions=joined.executions
            )
        asked = time.perf_counter_ns()
        place = await self._admission.admit(loaded.model, policy.limits, want)
        loaded.activity.waited(time.perf_counter_ns() - asked)
        try:
            if upstream is None:
                return await self._here(loaded, inputs, caller, place)
            answer = await self._ask(upstream, loaded, request, caller)
            return Result(answer.outputs, answer.exact, answer.parameters)
        finally:
            place.release()

    def place(self, policy: ModelPolicy, loaded: LoadedModel, rows: int, size: int, *, shared: bool) -> Admitted | None:
        """Return a place for the run of a plain request in a thread, for who releases it; None where it has to wait.

        What has to wait, for whatever reason, is for `run`. Arguments are those of `run`; `size` is the request's.
        """
        want = Want(
            version=loaded.version,
            level=DEFAULT_LEVEL,
            threaded=True,
            until=None,
            cost_ns=loaded.cost_ns(rows),
            size=size,
            shared=shared,
        )
        return self._admission.admit_now(loaded.model, policy.limits, want)

    def close(self) -> None:
        """Refuse what waits with NOT_SERVING, since nothing of it ran, and all that comes; end what upstreams do."""
        self._batches.close()
        self._admission.close()
        for scope in self._asking:
            scope.reschedule(asyncio.get_running_loop().time())

    async def _here(self, loaded: LoadedModel, inputs: Inputs, caller: Caller, place: Admitted | None = None) -> Result:
        outputs = await self._execution.run(
            loaded, inputs.rows, inputs.raw, inputs.arrays, caller.remaining(), place=place
        )
        return Result(outputs, loaded.runner.exact)

    async def _ask(self, upstream: Upstream, loaded: LoadedModel, request: Request, caller: Caller) -> UpstreamAnswer:
        """Return an upstream's answer; asks for it no longer than until `close`."""
        try:
            async with asyncio.timeout(None) as scope:
                self._asking.add(scope)
                return await upstream.infer(request, loaded.signature, caller)
        except TimeoutError as error:
            raise InternalError(
                "UPSTREAM_FAILED",
                f"this node stops and ended the call to the upstream of version {loaded.version} of model"
                f" {loaded.model!r}, which may have run",
                model=loaded.model,
                version=loaded.version,
            ) from error
        finally:
            self._asking.discard(scope)

    def _joins(self, loaded: LoadedModel, inputs: Inputs, max_rows: int) -> bool:
        return (
            not loaded.batching_exact
            and inputs.rows < max_rows
            and (inputs.raw is not None or joining.even(inputs))
            and joining.joinable(loaded.signature)
            and not self._batches.apart(loaded)
        )


def _want(
    policy: ModelPolicy,
    loaded: LoadedModel,
    request: Request,
    inputs: Inputs,
    caller: Caller,
    *,
    threaded: bool,
    shared: bool,
) -> Want:
    now = time.monotonic()
    moments = [caller.deadline]
    if policy.limits.max_wait_ms is not None:
        moments.append(now + policy.limits.max_wait_ms * 1e-3)
    timeout = _whole(request, "timeout")
    if timeout:
        moments.append(now + timeout * 1e-6)
    until = min((moment for moment in moments if moment is not None), default=None)
    return Want(
        version=loaded.version,
        level=level_of(_whole(request, "priority")),
        threaded=threaded,
        until=until,
        cost_ns=loaded.cost_ns(inputs.rows),
        size=len(request.data),
        at_once=UPSTREAM_RUNNING if loaded.runner.upstream is not None and policy.limits.max_running is None else None,
        shared=shared,
    )


def _whole(request: Request, name: str) -> int:
    value = request.parameters.get(name, 0)
    assert type(value) is int  # `inputs.read` refused everything else
    return value
