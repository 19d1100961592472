"""The way of a request through the node, from values to the bytes of its answer.

Resolve, assign, check, admit and run, name, record. ModelInfer, streams, replays and proofs all come through here;
`hot` takes the plain requests before they become values. Belongs to the loop.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from neuralmesh_server.errors import DeadlineExceededError, NeuralMeshError
from neuralmesh_server.inference import inputs as reading
from neuralmesh_server.inference.backends.execution import label_record
from neuralmesh_server.inference.policy import ReceiptMode
from neuralmesh_server.inference.traffic.rollout import STABLE
from neuralmesh_server.inference.upward.forwarding import FULL, MISSES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from neuralmesh_server.inference.backends.execution import Output
    from neuralmesh_server.inference.reporting.activity import Activity
    from neuralmesh_server.inference.reporting.rollout_activity import RolloutActivity
    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.serving import LoadedModel, Route, Serving
    from neuralmesh_server.inference.traffic.lanes import Lanes, Result
    from neuralmesh_server.inference.traffic.rollout import Assigner, Assignment, Rollout
    from neuralmesh_server.prediction_id import Issuer

    Write = Callable[[LoadedModel, str, Sequence[Output], Mapping[str, str | int]], bytes]
    """Returns the answer's bytes from version, request id, wanted outputs and parameters."""

STALE_SECONDS = "stale_seconds"
"""Parameter of an answer: at least so long ago the node last heard of the registry."""
CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answered request.

    Attributes:
        data: The ModelInferResponse.
        outputs: All outputs of the version, in the signature's order, wanted or not.
        parameters: What the answer says of itself.
        exact: How far it repeats; see `backend.Model.exact`.
        batch_rows: Rows of the batch in which it ran together with other requests; 0 where it ran alone.
    """

    loaded: LoadedModel
    prediction_id: str
    data: bytes
    outputs: list[Output]
    parameters: Mapping[str, str | int]
    exact: str
    batch_rows: int = 0


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that the node further up answered: `data` is its ModelInferResponse, and everything else is there."""

    data: bytes


class Forwarder(Protocol):
    """Who passes on what cannot be served here; see `upward.forwarding`."""

    async def instead(self, error: NeuralMeshError, request: Request, caller: Caller, digest: str = "") -> bytes:
        """Return the answer to a request that failed here before anything ran; raises NeuralMeshError."""


class Hedger(Protocol):
    """Who has the node further up run what takes long here; see `upward.hedging`."""

    async def run(
        self, loaded: LoadedModel, request: Request, caller: Caller, local: Coroutine[None, None, Result]
    ) -> Result | bytes:
        """Return the result of a run here, or the answer from further up; raises NeuralMeshError."""


class ReceiptKeeper(Protocol):
    """Who records answered requests; see `receipts`."""

    def keep(self, route: Route, request: Request, answer: Answer) -> None:
        """Record an answer, as the route's policy says, without waiting for a disk; never raises."""


class ShadowCopies(Protocol):
    """Who gives copies of requests that the stable arm answered to shadows; see `shadow`."""

    def copy(self, rollout: Rollout, request: Request, answer: Answer, caller: Caller) -> None:
        """Take a copy, or count that there is no room for it; never waits, never raises."""


class Answering:
    """Answers requests.

    Args:
        serving: What is served.
        assigner: What chooses an arm where a rollout is in force.
        lanes: What admits and runs requests.
        activity: What counts them.
        rollouts: What counts the arms.
        issuer: What names the answers.
        write: What puts an answer into bytes.
        node: Name of this node.
        receipts: What records answers, for models whose policy asks for it; None records nothing.
        shadows: What copies requests to shadows; None copies nothing.
        forwarder: What answers for this node what it cannot serve; None for nobody.
        hedger: What hedges runs; None hedges nothing.
    """

    def __init__(
        self,
        *,
        serving: Serving,
        assigner: Assigner,
        lanes: Lanes,
        activity: Activity,
        rollouts: RolloutActivity,
        issuer: Issuer,
        write: Write,
        node: str,
        receipts: ReceiptKeeper | None = None,
        shadows: ShadowCopies | None = None,
        forwarder: Forwarder | None = None,
        hedger: Hedger | None = None,
    ) -> None:
        self._serving = serving
        self._assigner = assigner
        self._lanes = lanes
        self._activity = activity
        self._rollouts = rollouts
        self._issuer = issuer
        self._write = write
        self._node = node
        self._receipts = receipts
        self._shadows = shadows
        self._forwarder = forwarder
        self._hedger = hedger
        self._started_ns = time.monotonic_ns()

    async def answer(self, request: Request, caller: Caller) -> Answer | Passed:
        """Return the answer to a request, from here or from further up; the latter is not counted or recorded here.

        Raises:
            NeuralMeshError: Why there is none; it is counted.
        """
        started = time.perf_counter_ns()
        chosen: Assignment | None = None
        missing: NeuralMeshError | None = None
        try:
            try:
                route = self._route(request, caller)
                route.check()
                chosen = self._assigner.assign(route.served, route.rollout, request, caller)
                self._rollouts.assigned(chosen)
                answer = await self._run(route, chosen, request, caller, started)
            except NeuralMeshError as error:
                missing = error
            if missing is not None:  # nothing that fails from here on refers to it by itself
                answer = await self._instead(missing, chosen, request, caller)
        except NeuralMeshError as error:
            self._failed(chosen, error.code, started)
            raise
        except asyncio.CancelledError:
            self._failed(chosen, _ended_by(caller), started)
            raise
        except Exception:
            self._failed(chosen, NeuralMeshError.code, started)
            raise
        if isinstance(answer, Passed):
            return answer
        if self._receipts is not None and route.policy.receipts.mode is not ReceiptMode.OFF:
            self._receipts.keep(route, request, answer)
        assert chosen is not None  # the answer is one of this node
        # Neither the canary's answers nor, while an arm is not ready, those of another version say what stable says.
        if self._shadows is not None and chosen.rollout is not None and chosen.arm == STABLE:
            self._shadows.copy(chosen.rollout, request, answer, caller)
        return answer

    def malformed(self, error: NeuralMeshError) -> None:
        """Count a request that never became one."""
        self._activity.unresolved[error.code] += 1

    def offset_ms(self) -> int:
        """Return the milliseconds since the epoch began."""
        return (time.monotonic_ns() - self._started_ns) // 1_000_000

    def _route(self, request: Request, caller: Caller) -> Route:
        snapshot = self._serving.snapshot()
        if caller.digest:
            return snapshot.pinned(request.model, request.version, caller.digest)
        return snapshot.route(request.model, request.version)

    async def _instead(
        self, error: NeuralMeshError, chosen: Assignment | None, request: Request, caller: Caller
    ) -> Passed:
        """Return what the node further up answers, or raise the error where it is not to be asked."""
        if self._forwarder is None or error.reason not in (MISSES if chosen is None else FULL):
            raise error
        digest = "" if chosen is None else chosen.served.loaded.digest
        return Passed(await self._forwarder.instead(error, request, caller, digest))

    async def _run(
        self, route: Route, chosen: Assignment, request: Request, caller: Caller, started: int
    ) -> Answer | Passed:
        loaded = chosen.served.loaded
        remaining = caller.remaining()
        if remaining is not None and remaining <= 0:
            raise DeadlineExceededError("DEADLINE_EXPIRED", "the deadline passed before the work began")
        inputs = reading.read(loaded, request)
        read = time.perf_counter_ns()
        run = self._lanes.run(route.policy, loaded, request, inputs, caller, shared=route.shared)
        if self._hedger is None or loaded.runner.upstream is not None:
            result = await run
        else:
            first = await self._hedger.run(loaded, request, caller, run)
            if isinstance(first, bytes):
                return Passed(first)
            result = first
        ran = time.perf_counter_ns()
        prediction_id = self._issuer.issue(chosen.served.subject, self.offset_ms())
        own = {"prediction_id": prediction_id, "digest": loaded.digest, "node": self._node}
        parameters: dict[str, str | int] = {**result.parameters, **own}
        if chosen.arm and route.rollout is not None and route.rollout.canary_version:
            parameters["arm"] = chosen.arm
        if route.stale is not None:
            parameters[STALE_SECONDS] = route.stale.seconds
        data = self._write(loaded, request.id, [result.outputs[place] for place in inputs.wanted], parameters)
        labels = label_record(loaded, result.outputs, prediction_id)
        if labels is not None:
            self._activity.answered(labels)
        loaded.activity.succeeded(inputs.rows, started, read, ran)
        if not result.executions:
            loaded.activity.shared_run()
        return Answer(loaded, prediction_id, data, result.outputs, parameters, result.exact, result.batch_rows)

    def _failed(self, chosen: Assignment | None, code: str, started: int) -> None:
        if chosen is None:
            self._activity.unresolved[code] += 1
            return
        chosen.served.loaded.activity.failed(code, started)
        self._rollouts.failed(chosen, code)


def _ended_by(caller: Caller) -> str:
    """Return the status of a call that was cancelled; a passed deadline, too, cancels it, and is no caller's fault."""
    return DeadlineExceededError.code if caller.is_late() else CANCELLED
