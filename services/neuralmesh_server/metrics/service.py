"""The edge of the metrics service: check, call the domain, translate, return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh_server import names
from neuralmesh_server.errors import NotFoundError
from neuralmesh_server.metrics import comparison, convert, convert_rollouts, ingest, operations, outcomes, validate
from neuralmesh_server.metrics.overview import Observer

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.metrics.figures import Figures
    from neuralmesh_server.metrics.store import Store, View
    from neuralmesh_server.runtime.handlers import Call


class MetricsServicer:
    """Answers the RPCs of MetricsService.

    Args:
        store: Where the counts are.
        clock: Returns the present time in seconds since 1970.
        running_seconds: A node that has been silent for longer does not run.
    """

    def __init__(self, store: Store, clock: Callable[[], float], running_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._running_ms = int(running_seconds * 1000)

    async def ingest_delta(self, request: Any, call: Call) -> Any:
        """Count a delta once; answered after the commit."""
        del call
        now_ms = self.observer().now_ms
        validate.check_delta(request, now_ms)
        delta = convert.delta_from(request, tuple(convert_rollouts.step_delta(entry) for entry in request.rollouts))
        return convert.receipt_to(await self._store.write(lambda ledger: ingest.ingest(ledger, delta, now_ms)))

    async def record_outcome(self, request: Any, call: Call) -> Any:
        """Record true labels; answered after the commit."""
        del call
        validate.check_outcome(request)
        labels = convert.labels_from(request)
        identifier = request.prediction_id
        return convert.joined_to(await self._store.write(lambda ledger: outcomes.record(ledger, identifier, labels)))

    async def get_version_metrics(self, request: Any, call: Call) -> Any:
        """Return the figures of one version."""
        del call
        model, version = names.parse_version_name(request.name)
        observer = self.observer()
        figures = await self._store.read(lambda view: _known(observer, view, model, version))
        return pb.GetVersionMetricsResponse(metrics=convert.figures_to(figures))

    async def list_version_metrics(self, request: Any, call: Call) -> Any:
        """Return a page of figures in order of model and version."""
        del call
        model = names.parse_model_name(request.parent) if request.parent else ""
        size = validate.page_size(request.page_size)
        after = convert.page_start(request.page_token, request.parent)
        observer = self.observer()
        found = await self._store.read(lambda view: observer.page(view, model, after, size + 1))
        token = ""
        if len(found) > size:
            last = found[size - 1].totals
            token = convert.page_token(request.parent, last.model, last.version)
        return pb.ListVersionMetricsResponse(
            metrics=[convert.figures_to(figures) for figures in found[:size]], next_page_token=token
        )

    async def compare_versions(self, request: Any, call: Call) -> Any:
        """Put two versions of one model side by side."""
        del call
        model, first, second = validate.check_comparable(request.baseline, request.candidate)
        observer = self.observer()
        baseline, candidate = await self._store.read(
            lambda view: (_known(observer, view, model, first), _known(observer, view, model, second))
        )
        return convert.comparison_to(comparison.compare(baseline, candidate))

    async def list_rollout_metrics(self, request: Any, call: Call) -> Any:
        """Return a page of steps of rollouts, newest first."""
        del call
        model = request.model
        if model:
            names.check_model(model)
        size = validate.page_size(request.page_size)
        before = convert_rollouts.page_start(request.page_token, model)
        found = await self._store.read(lambda view: view.rollouts(model, before=before, limit=size + 1))
        token = convert_rollouts.page_token(model, found[size - 1]) if len(found) > size else ""
        return pb.ListRolloutMetricsResponse(
            rollouts=[convert_rollouts.metrics_to(totals) for totals in found[:size]], next_page_token=token
        )

    async def get_operations(self, request: Any, call: Call) -> Any:
        """Return the operations table and the nodes."""
        del request, call
        overview = await self._store.read(self.observer().overview)
        rows = operations.table(overview.nodes, [figures.totals for figures in overview.figures], overview.tallies)
        return pb.GetOperationsResponse(
            rows=[convert.row_to(row) for row in rows], nodes=[convert.node_to(node) for node in overview.nodes]
        )

    def observer(self) -> Observer:
        """Return an observer of this moment."""
        return Observer(int(self._clock() * 1000), self._running_ms)


def _known(observer: Observer, view: View, model: str, version: int) -> Figures:
    figures = observer.version(view, model, version)
    if figures is None:
        name = names.version_name(model, version)
        raise NotFoundError("VERSION_NOT_FOUND", f"no node has reported {name}", name=name)
    return figures
