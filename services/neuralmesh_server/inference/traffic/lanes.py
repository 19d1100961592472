"""How checked requests reach a version: at once, through a bounded queue, or joined to batches.

A request that runs on the loop, of a model without limits, passes through here without meeting anything.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuralmesh_server.inference.traffic import joining
from neuralmesh_server.inference.traffic.admission import Admission, Want, level_of
from neuralmesh_server.inference.traffic.batching import Batches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.inference.backends.backend import Upstream
    from neuralmesh_server.inference.backends.execution import Execution, Output
    from neuralmesh_server.inference.inputs import Inputs
    from neuralmesh_server.inference.policy import ModelPolicy
    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.serving import LoadedModel


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
    """

    def __init__(self, execution: Execution, threads: int) -> None:
        self._execution = execution
        self._admission = Admission(threads)
        self._batches = Batches(execution, self._admission)

    async def run(
        self, policy: ModelPolicy, loaded: LoadedModel, request: Request, inputs: Inputs, caller: Caller
    ) -> Result:
        """Return what a version gives for a request.

        Args:
            policy: What holds for the model.
            loaded: The version that runs.
            request: The request, as it was held against the version's signature.
            inputs: What it runs on.
            caller: Who waits.

        Raises:
            ResourceExhaustedError: QUEUE_FULL. Nothing ran.
            DeadlineExceededError: DEADLINE_EXPIRED.
            UnavailableError: NOT_SERVING: the node stops.
            NeuralMeshError: What `Execution.run` or an upstream raises.
        """
        upstream = loaded.runner.upstream
        threaded = upstream is None and not self._execution.is_quick(loaded, inputs.rows)
        if not threaded and policy.limits.max_running is None:
            return await self._now(upstream, loaded, request, inputs, caller)
        want = _want(policy, loaded, request, inputs, caller, threaded=threaded)
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
            if not threaded:
                return await self._now(upstream, loaded, request, inputs, caller)
            outputs = await self._execution.run(
                loaded, inputs.rows, inputs.raw, inputs.arrays, caller.remaining(), place=place
            )
            return Result(outputs, loaded.runner.exact)
        finally:
            place.release()

    def close(self) -> None:
        """Refuse what waits with NOT_SERVING, since nothing of it ran, and all that comes."""
        self._batches.close()
        self._admission.close()

    async def _now(
        self, upstream: Upstream | None, loaded: LoadedModel, request: Request, inputs: Inputs, caller: Caller
    ) -> Result:
        if upstream is not None:
            answer = await upstream.infer(request, loaded.signature, caller)
            return Result(answer.outputs, answer.exact, answer.parameters)
        outputs = await self._execution.run(loaded, inputs.rows, inputs.raw, inputs.arrays, caller.remaining())
        return Result(outputs, loaded.runner.exact)

    def _joins(self, loaded: LoadedModel, inputs: Inputs, max_rows: int) -> bool:
        return (
            not loaded.batching_exact
            and inputs.rows < max_rows
            and (inputs.raw is not None or joining.even(inputs))
            and joining.joinable(loaded.signature)
            and not self._batches.apart(loaded)
        )


def _want(
    policy: ModelPolicy, loaded: LoadedModel, request: Request, inputs: Inputs, caller: Caller, *, threaded: bool
) -> Want:
    now = time.monotonic()
    moments = [caller.deadline]
    if policy.limits.max_wait_ms is not None:
        moments.append(now + policy.limits.max_wait_ms * 1e-3)
    timeout = _whole(request, "timeout")
    if timeout:
        moments.append(now + timeout * 1e-6)
    until = min((moment for moment in moments if moment is not None), default=None)
    return Want(level_of(_whole(request, "priority")), threaded, until, loaded.cost_ns(inputs.rows))


def _whole(request: Request, name: str) -> int:
    value = request.parameters.get(name, 0)
    assert type(value) is int  # `inputs.read` refused everything else
    return value
