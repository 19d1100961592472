"""Where a node stands in the mesh, put together from those who know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.inference.edge.mesh import Figures


@dataclass(frozen=True, slots=True)
class EdgeStatus:
    """See GetEdgeStatusResponse in the contract.

    Attributes:
        staleness: At least so many seconds ago the registry was heard; None when it never was.
        trouble: Why the registry is not followed; empty while it is.
    """

    node: str
    labels: Mapping[str, str]
    applied_revision: int
    digest: bytes
    connected: bool
    staleness: float | None
    trouble: str
    figures: Figures
