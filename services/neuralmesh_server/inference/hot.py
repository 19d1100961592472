"""The short way of plain requests: one call into C from a request's bytes to its answer's.

It knows the routes that need nothing but a version: no rollout, no queue, no kept payloads. What it does not answer is
answered by `answering`, which knows everything; both give the same answers. A run that is foreseen but too long for the
loop has a thread between the two halves of that call, where one is free at once. Belongs to the loop. A front that
answers with the same routes in threads of its own can be attached: it counts and keeps in blocks of its own.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from liam_core import oip
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference.answering import STALE_SECONDS
from neuralmesh_server.inference.backends.execution import foreseen_rows, quick_rows
from neuralmesh_server.inference.evidence.receipts import Answerer, threshold
from neuralmesh_server.inference.hot_front import Attached
from neuralmesh_server.inference.policy import Limits
from neuralmesh_server.inference.tensors import DTYPES
from neuralmesh_server.prediction_id import PREFIX

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.onnx import BoundRun
    from neuralmesh_server.inference.hot_aside import Aside
    from neuralmesh_server.inference.hot_front import Front
    from neuralmesh_server.inference.reporting.activity import Activity
    from neuralmesh_server.inference.serving import LoadedModel, Route, Served, Serving, Snapshot
    from neuralmesh_server.inference.tensors import TensorSpec
    from neuralmesh_server.prediction_id import Issuer

RECEIPTS = 1 << 16
"""Most digest receipts that wait to be taken."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A way to run one row on memory that is kept, and its results as the codec takes them."""

    bound: BoundRun
    kept: oip.Kept


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A loaded version as the codec knows it, under the subject and the share of receipts that it had last.

    Attributes:
        quick: Most rows of a request that runs on the loop; what has more, and not more than `rows`, runs in a thread.
        apart: Most rows of a request that a worker of the front may run.
        origin: The route that it was made for, or made anew.
        stale: Seconds of silence that its answers tell; 0 for none.
    """

    loaded: LoadedModel
    inputs: tuple[tuple[str, np.dtype[Any], bool, tuple[int, ...]], ...]
    outputs: tuple[tuple[str, np.dtype[Any]], ...]
    subject: bytes
    receipts: int
    quick: int
    rows: int
    apart: int
    origin: Route
    route: oip.Route
    row: _Row | None
    stale: int = 0


class Hot:
    """Answers plain requests.

    Args:
        serving: What is served.
        activity: What counts answers and holds their labels.
        issuer: What names them, beside this.
        node: Name of this node.
        rings: Memory for the counters of the receipts, the loop's and a front's, where they shall outlive the process.
        room: Most digest receipts that wait to be taken, of each.
        aside: Where runs go that are foreseen and too long for the loop; None leaves them to the ordinary way.
    """

    def __init__(
        self,
        *,
        serving: Serving,
        activity: Activity,
        issuer: Issuer,
        node: str,
        rings: Sequence[Any] = (None, None),
        room: int = RECEIPTS,
        aside: Aside | None = None,
    ) -> None:
        self._serving = serving
        self._activity = activity
        self._issuer = issuer
        self._node = node
        self._rings = rings
        self._room = room
        self._aside = aside
        self._receipts = oip.Receipts(room, rings[0])
        self._answerers: dict[int, Answerer] = {}
        self._codec = self._make_codec(activity.kept, self._receipts)
        self._block, self._written = self._codec.block, self._codec.written
        self._call = oip.new_call()
        self._idle_calls: list[Any] = []
        self._snapshot: Snapshot | None = None
        self._prepared: dict[int, _Prepared] = {}
        self._table = oip.Table({})
        self._routes = self._table.block
        self._attached: Attached | None = None

    def attach(self, front: Front) -> None:
        """Have a front answer as well, from now on and after each `refresh`, until its thread ends."""
        receipts = oip.Receipts(self._room, self._rings[1])
        self._attached = Attached(front, self._make_codec(self._activity.front_kept, receipts), receipts)
        self._prepare()

    def held(self) -> AbstractContextManager[None]:
        """Hold the front off, where there is one, to read what it counted as it stands at one moment."""
        return nullcontext() if self._attached is None else self._attached.front.held()

    def answer(self, data: bytes) -> bytes | None:
        """Return the answer to the bytes of a ModelInferRequest, or None when it takes the ordinary way."""
        found = self._read(data)
        if found is None or isinstance(found, bytes):
            return found
        return self._run(found, data) if self._call.rows <= found.quick else None

    def begin(self, data: bytes) -> bytes | asyncio.Future[bytes | None] | None:
        """Return what `answer` returns, or a future of it where the run goes on in a thread."""
        found = self._read(data)
        if found is None or isinstance(found, bytes):
            return found
        return self._run(found, data) if self._call.rows <= found.quick else self._run_aside(found, data)

    def _read(self, data: bytes) -> bytes | _Prepared | None:
        """Return the answer, or what is to run, or None when the request takes the ordinary way."""
        if self._serving.current is not self._snapshot:
            self._prepare()
        size = oip.answer(self._block, self._routes, self._call, data, len(data))
        if size > 0:
            answer: bytes = self._written[:size]
            return answer
        return None if size == 0 else self._prepared[self._call.route.owner]  # BEGUN or LONG

    def refresh(self) -> None:
        """Follow the current snapshot, and let go what is not in it any more.

        A front answers by the one before until then, so that nothing may come between a new snapshot and this.
        """
        if self._serving.current is not self._snapshot:
            self._prepare()

    def drain_receipts(self) -> NDArray[Any]:
        """Return the digest receipts written since the last call, as records of `liam_core.oip.RECEIPT`."""
        taken = self._receipts.take()
        if self._attached is None:
            return taken
        return np.concatenate((taken, self._attached.receipts.take()), dtype=oip.RECEIPT)

    def answerer(self, owner: int) -> Answerer:
        """Return what the owner of a receipt stands for, also when it is not loaded any more."""
        return self._answerers[owner]

    def _run(self, prepared: _Prepared, data: bytes) -> bytes | None:
        call = self._call
        if prepared.row is not None and call.rows == 1:
            return self._run_row(prepared.row, data, call.request.input, call.given)
        try:
            found = prepared.loaded.runner.run(_inputs(prepared, call, data))
        except NeuralMeshError:
            return None  # the ordinary way fails alike and says why
        return self._finish(prepared, call, data, found)

    def _run_aside(self, prepared: _Prepared, data: bytes) -> asyncio.Future[bytes | None] | None:
        """Have a thread run what the codec has begun, which it finishes later: others are answered in between."""
        assert self._aside is not None
        call, run, inputs = self._call, prepared.loaded.runner.run, _inputs(prepared, self._call, data)

        def done(found: Mapping[str, NDArray[Any]] | None) -> bytes | None:
            answer = None if found is None else self._finish(prepared, call, data, found)
            self._idle_calls.append(call)
            return answer

        answer = self._aside.run(prepared.origin, prepared.loaded, (call.rows, len(data)), lambda: run(inputs), done)
        if answer is not None:
            self._call = self._idle_calls.pop() if self._idle_calls else oip.new_call()
        return answer

    def _finish(self, prepared: _Prepared, call: Any, data: bytes, found: Mapping[str, NDArray[Any]]) -> bytes | None:
        results = []
        for name, dtype in prepared.outputs:
            array = found[name]
            if array.dtype != dtype or array.ndim > oip.MAX_DIMS:
                return None
            results.append(array if array.flags.c_contiguous else np.ascontiguousarray(array))
        return self._codec.finish(call, data, results)

    def _run_row(self, row: _Row, data: bytes, tensors: Any, given: Any) -> bytes | None:
        for index, place in enumerate(row.bound.inputs):
            raw = tensors[given[index]].raw
            place[:] = data[raw.at : raw.at + raw.size]
        try:
            row.bound.run()
        except NeuralMeshError:
            return None  # as above
        return self._codec.finish_kept(self._call, data, row.kept)

    def _prepare(self) -> None:
        """Make the table of the current snapshot; the old one goes with its last call, wherever it is answered."""
        snapshot = self._serving.current
        prepared: dict[int, _Prepared] = {}
        routes: dict[tuple[str, str], oip.Route] = {}
        for key, route in (snapshot.routes if snapshot is not None else {}).items():
            owner = route.served.loaded.activity.owner
            if owner not in prepared and route.plain:
                made = self._renew(route)
                if made is not None:
                    prepared[owner] = made
            if owner in prepared and route.plain:
                routes[key] = prepared[owner].route
        table = oip.Table(routes)
        if self._attached is not None:
            stats = {owner: one.loaded.activity.front_stats for owner, one in prepared.items()}
            self._attached.serve(routes, stats, self._codec.scratch_bytes, prepared)
        # Versions are let go only here, or by the front: what it counts in one is there when its activity is folded.
        self._table, self._prepared, self._snapshot = table, prepared, snapshot
        self._routes = self._table.block

    def _make_codec(self, labels: oip.Labels, receipts: oip.Receipts) -> oip.Codec:
        issuer = self._issuer
        return oip.Codec(
            node=issuer.node,
            key=issuer.key,
            epoch_ms=issuer.epoch_ms,
            started_ns=issuer.started_ns,
            numbers=issuer.numbers,
            labels=labels,
            receipts=receipts,
        )

    def _renew(self, route: Route) -> _Prepared | None:
        """Return what the codec has to know of a version; None for one that it cannot serve."""
        served, share = route.served, threshold(route.policy.receipts.sample_ppm)
        loaded = served.loaded
        quick = quick_rows(loaded)
        # What waits for a thread may be joined with others that do.
        aside = self._aside is not None and route.policy.batching is None
        rows = foreseen_rows(loaded) if aside else quick
        # Whom a limit, or another version's share, may make wait, waits where both are obeyed.
        free = route.policy.batching is None and route.policy.limits == Limits() and not route.shared
        apart = foreseen_rows(loaded) if free else 0
        stale = route.stale.seconds if route.stale is not None else 0
        held = self._prepared.get(loaded.activity.owner)
        if held is not None and held.loaded is loaded and rows:
            told = held.route
            if held.stale != stale:
                told = self._route(served, share, (rows, quick, apart), stale)
            elif (held.subject, held.receipts, held.rows, held.apart) != (served.subject, share, rows, apart):
                told = told.renewed(served.subject, share, rows, apart)
            elif held.origin is route:
                return held
            return replace(
                held,
                subject=served.subject,
                receipts=share,
                rows=rows,
                apart=apart,
                origin=route,
                route=told,
                stale=stale,
            )
        if not rows or not _is_servable(loaded):
            return None
        self._answerers[loaded.activity.owner] = Answerer(
            loaded.model, loaded.uid, loaded.version, loaded.digest, loaded.kind
        )
        # Nothing but the rows is free in what is foreseen; see `foreseen_rows`.
        inputs = tuple(
            (spec.name, DTYPES[spec.datatype], spec.batched, spec.shape[spec.batched :])
            for spec in loaded.signature.inputs
        )
        outputs = _typed(loaded.signature.outputs)
        made = self._route(served, share, (rows, quick, apart), stale)
        return _Prepared(
            loaded, inputs, outputs, served.subject, share, quick, rows, apart, route, made, _row(loaded), stale
        )

    def _route(self, served: Served, share: int, rows: tuple[int, int, int], stale: int) -> oip.Route:
        loaded, runner = served.loaded, _native(served.loaded)
        told = {STALE_SECONDS: stale} if stale else {}
        if runner is not None:
            self._codec.reserve(runner.scratch_bytes)
        # What the files say of the outputs is never less than what was declared.
        signature = loaded.signature if runner is None else loaded.runner.signature
        return oip.Route(
            model=loaded.model,
            version=str(loaded.version),
            parameters={"digest": loaded.digest, "node": self._node, **told},
            inputs=_specs(loaded.signature.inputs),
            outputs=_specs(signature.outputs),
            runner=runner,
            label=loaded.label_index,
            max_rows=rows[0],
            direct_rows=rows[1],
            apart_rows=rows[2],
            subject=served.subject,
            stats=loaded.activity.stats,
            owner=loaded.activity.owner,
            receipts=share,
            bit_exact=loaded.runner.exact == "bits",
            issuer=f"{PREFIX}.{self._node}.",
        )


def _inputs(prepared: _Prepared, call: Any, data: bytes) -> dict[str, NDArray[Any]]:
    """Return views of a request, without a copy where they are aligned: runtimes may rely on that."""
    tensors, given = call.request.input, call.given
    inputs: dict[str, NDArray[Any]] = {}
    for index, (name, dtype, batched, shape) in enumerate(prepared.inputs):
        whole = (call.rows, *shape) if batched else shape
        array: NDArray[Any] = np.ndarray(whole, dtype, data, tensors[given[index]].raw.at)
        inputs[name] = array if array.flags.aligned else array.copy()
    return inputs


def _native(loaded: LoadedModel) -> oip.Runner | None:
    """Return what runs a version in C, if its outputs are the signature's in order."""
    runner: oip.Runner | None = getattr(loaded.runner, "native", None)
    names = [[spec.name for spec in one.outputs] for one in (loaded.signature, loaded.runner.signature)]
    return runner if names[0] == names[1] else None


def _row(loaded: LoadedModel) -> _Row | None:
    bind = getattr(loaded.runner, "bound_row", None)
    bound: BoundRun | None = None if bind is None else bind(loaded.signature)
    return None if bound is None else _Row(bound, oip.Kept(bound.outputs))


def _is_servable(loaded: LoadedModel) -> bool:
    signature = loaded.signature
    return (
        loaded.runner.upstream is None
        and 0 < len(signature.inputs) <= oip.MAX_TENSORS
        and 0 < len(signature.outputs) <= oip.MAX_TENSORS
        and all(spec.supported for spec in (*_specs(signature.inputs), *_specs(signature.outputs)))
    )


def _specs(specs: tuple[TensorSpec, ...]) -> list[oip.Spec]:
    return [oip.Spec(spec.name, spec.datatype, spec.shape) for spec in specs]


def _typed(specs: tuple[TensorSpec, ...]) -> tuple[tuple[str, np.dtype[Any]], ...]:
    return tuple((spec.name, DTYPES[spec.datatype]) for spec in specs)
