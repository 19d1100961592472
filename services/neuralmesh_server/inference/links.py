"""The registry and the metrics service as this node sees them, without a transport.

`link_registry` and `link_metrics` fulfil these over gRPC; tests may stand in others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Mapping

    from neuralmesh_server.histogram import Histogram
    from neuralmesh_server.inference.holding.replica import Step
    from neuralmesh_server.inference.reporting.labels import LabelBatch
    from neuralmesh_server.inference.reporting.rollout_activity import StepReport


class LinkError(Exception):
    """A call to another service failed.

    Attributes:
        reason: The contract's reason, such as REVISION_AHEAD.
        unreachable: True when the service could not be reached, so that the same call may succeed later.
    """

    def __init__(self, reason: str, message: str, *, unreachable: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.unreachable = unreachable


class RegistryLink(Protocol):
    """What a node asks of the registry; every method raises LinkError."""

    def watch(self, from_revision: int, state_digest: bytes) -> AsyncIterator[Step]:
        """Yield the registry's steps after a revision; 0 asks for a snapshot."""

    def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """Yield an artifact's bytes from an offset on."""

    async def register_node(self, key: bytes) -> None:
        """Make this node's key for prediction ids known; NODE_KEY_CONFLICT when the name has another."""


@dataclass(frozen=True, slots=True)
class VersionReport:
    """What one version did since the delta before."""

    model: str
    version: int
    digest: str
    requests: int
    rows: int
    errors: Mapping[str, int]
    latency: Histogram


@dataclass(frozen=True, slots=True)
class LoadedReport:
    """What the node holds of one version; `state` is READY, LOADING or FAILED."""

    model: str
    version: int
    digest: str
    state: str
    reason: str
    size_bytes: int
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """One report of the node; see IngestDeltaRequest in the contract. Sent again, it is the same."""

    epoch_ms: int
    sequence: int
    revision: int
    uptime_seconds: float
    versions: tuple[VersionReport, ...]
    labels: tuple[LabelBatch, ...]
    loaded: tuple[LoadedReport, ...]
    unresolved: Counter[str]
    dropped_labels: int
    final: bool
    rollouts: tuple[StepReport, ...] = ()
    lost_receipts: int = 0


class MetricsLink(Protocol):
    """What a node asks of the metrics service."""

    def encode(self, delta: Delta) -> bytes:
        """Return the delta's bytes, as `ingest` takes them and as they may be kept over a restart."""

    async def ingest(self, data: bytes) -> None:
        """Return when the delta is committed; raises LinkError."""
