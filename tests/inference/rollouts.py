"""Stand-ins for the tests of rollouts and lanes: real versions around small models in Python."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from liam_core.oip import Numbers
from neuralmesh import oip
from neuralmesh_server.inference import convert
from neuralmesh_server.inference.answering import Answering
from neuralmesh_server.inference.backends.execution import Execution
from neuralmesh_server.inference.holding.records import AliasRecord, ModelRecord, VersionRecord, alias_record
from neuralmesh_server.inference.holding.replica import Replica, SnapshotPart, Step
from neuralmesh_server.inference.policy import DEFAULT, ModelPolicy
from neuralmesh_server.inference.publishing import publish
from neuralmesh_server.inference.reporting.activity import Activity
from neuralmesh_server.inference.reporting.rollout_activity import RolloutActivity
from neuralmesh_server.inference.request import Request
from neuralmesh_server.inference.serving import LoadedModel, Serving
from neuralmesh_server.inference.tensors import Signature, TensorSpec
from neuralmesh_server.inference.traffic.lanes import Lanes
from neuralmesh_server.inference.traffic.rollout import Assigner
from neuralmesh_server.inference.traffic.shadow import Shadows
from neuralmesh_server.prediction_id import Issuer

EPOCH = 1_700_000_000_000
SIGNATURE = Signature((TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),))
Run = Callable[[np.ndarray], np.ndarray]


class Model:
    """A version that runs a function of its only input."""

    exact = "build"
    run_raw = None
    ragged: frozenset[str] = frozenset()
    upstream = None

    def __init__(self, run: Run, *, threaded: bool = False, signature: Signature = SIGNATURE) -> None:
        self.signature = signature
        self.predictable_cost = not threaded
        self._run = run
        self.batches: list[int] = []

    def run(self, inputs: Mapping[str, np.ndarray], ending: Any = None) -> dict[str, np.ndarray]:
        """Run it."""
        del ending
        (x,) = inputs.values()
        self.batches.append(len(x))
        return {self.signature.outputs[0].name: self._run(x)}


def version(number: int, run: Run = lambda x: x, *, threaded: bool = False, model: str = "m") -> LoadedModel:
    """Return a version that is ready."""
    runner = Model(run, threaded=threaded)
    digest = "sha256:" + hashlib.sha256(f"{model}{number}".encode()).hexdigest()
    return LoadedModel(
        model=model, version=number, uid=4, digest=digest, kind="test", signature=runner.signature, runner=runner,
        size_bytes=0, base_ns=0, row_ns=0, label_index=-1,
        activity=Activity(0).version(model, number, digest), run_raw=None,
    )  # fmt: skip


def replica(revision: int, versions: int, state: Mapping[str, Any], moved: int = 0) -> Replica:
    """Return the state of a registry with a model `m` whose alias `production` says `state`."""
    held = Replica()
    held.apply(Step(revision, b"", SnapshotPart(
        models=(ModelRecord("m", 4),),
        versions=tuple(
            VersionRecord("m", n, version(n).digest, "test", (), None, 0) for n in range(1, versions + 1)
        ),
        aliases=(alias_record("m", "production", state, moved or revision, ()),),
        first=True,
        last=True,
    )))  # fmt: skip
    return held


def request(rows: int = 1, value: float = 1.0, model: str = "m", **fields: Any) -> Request:
    """Return a request as it arrives; fields are those of ModelInferRequest, and `parameters` may be plain values."""
    parameters = {name: oip.InferParameter(**_choice(given)) for name, given in fields.pop("parameters", {}).items()}
    data = np.full((rows, 2), value, np.float32).tobytes()
    message = oip.ModelInferRequest(
        model_name=model,
        inputs=[{"name": "x", "datatype": "FP32", "shape": [rows, 2]}],
        raw_input_contents=[data],
        **fields,
    )
    for name, parameter in parameters.items():
        message.parameters[name].CopyFrom(parameter)
    return convert.read_request(message.SerializeToString())


def _choice(value: bool | float | str) -> dict[str, Any]:
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    return {kinds[type(value)]: value}


@dataclass
class Node:
    """The way of a request without a transport."""

    policy: ModelPolicy = DEFAULT
    threads: int = 4
    name: str = "local"
    clock: Callable[[], float] | None = None
    serving: Serving = field(default_factory=Serving)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.threads)
        self.execution = Execution(self._pool, 10.0)
        self.lanes = Lanes(self.execution, self.threads)
        self.activity = Activity(0)
        self.rollouts = RolloutActivity() if self.clock is None else RolloutActivity(self.clock)
        self.shadows = Shadows(self.rollouts)
        self.issuer = Issuer(self.name, bytes(32), EPOCH, Numbers())
        self.answering = Answering(
            serving=self.serving, assigner=Assigner(self.name, EPOCH), lanes=self.lanes, activity=self.activity,
            rollouts=self.rollouts, issuer=self.issuer, write=convert.write_answer, node=self.name,
            shadows=self.shadows,
        )  # fmt: skip

    def serve(self, held: Replica, *versions: LoadedModel) -> None:
        """Serve versions as the registry says, from now on."""
        before = self.serving.current
        effective = dict(before.aliases) if before else {}
        held.policies["m"] = self.policy
        loaded = {(one.model, one.version): one for one in versions}
        self.serving.replace(publish(held, loaded, {}, effective, before))

    async def close(self) -> None:
        """End everything."""
        self.lanes.close()
        self.execution.close()
        await self.shadows.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


class Gate:
    """Holds the runs of a model until it is opened, and tells how many wait."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._entered = threading.Semaphore(0)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run, once the gate is open."""
        self._entered.release()
        self._open.wait()
        return x

    def wait_entered(self, count: int = 1) -> None:
        """Return when so many further runs have begun; blocks."""
        for _ in range(count):
            assert self._entered.acquire(timeout=20)

    def open(self) -> None:
        """Let all runs go on."""
        self._open.set()


def policy(**parts: Any) -> ModelPolicy:
    """Return a policy with some parts."""
    return replace(DEFAULT, **parts)


__all__ = ["AliasRecord", "Gate", "Model", "Node", "policy", "replica", "request", "version"]
