"""What a node can show for its answers, put together with where it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.inference.backends.kinds import runtimes
from neuralmesh_server.inference.evidence import convert_node
from neuralmesh_server.inference.evidence.evidence import Evidence
from neuralmesh_server.inference.evidence.store_receipts_neighbours import ReceiptNeighbours

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuralmesh_server.inference.backends.backend import Backend
    from neuralmesh_server.inference.evidence.store_receipts import ReceiptFolder
    from neuralmesh_server.inference.holding.artifacts import Artifacts
    from neuralmesh_server.inference.holding.replica import Replica
    from neuralmesh_server.inference.reporting.activity import Activity
    from neuralmesh_server.settings import InferenceSettings


def compose(
    settings: InferenceSettings,
    receipts: ReceiptFolder,
    replica: Replica,
    artifacts: Artifacts,
    kinds: Mapping[str, Backend],
    *,
    activity: Activity,
    key: bytes,
) -> Evidence:
    """Return the evidence of a node whose receipts are in a folder."""
    codec = convert_node.RecordedCodec()
    return Evidence(
        archive=receipts,
        ledger=receipts.ledger,
        neighbours=ReceiptNeighbours(_neighbours(settings)),
        replica=replica,
        artifacts=artifacts,
        backends=kinds,
        activity=activity,
        runtimes=runtimes(),
        replay_codec=codec,
        prove_codec=codec,
        node=settings.node,
        key=key,
    )


def _neighbours(settings: InferenceSettings) -> dict[str, Path]:
    """Return where the other workers of a node keep receipts, by the names under which they predict."""
    base = settings.node.removesuffix(f"-{settings.worker}")
    others = [number for number in range(1, settings.workers + 1) if settings.worker and number != settings.worker]
    return {f"{base}-{number}": settings.shared / f"worker-{number}" / "receipts" for number in others}
