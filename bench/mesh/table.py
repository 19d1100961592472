"""The rows of the mesh's table, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.mesh.rows.crowd import CrowdOfEdges
from bench.mesh.rows.edge_hit import EdgeHit
from bench.mesh.rows.embedded import Embedded
from bench.mesh.rows.forwarded import Forwarded
from bench.mesh.rows.propagation import Propagation
from bench.mesh.rows.python_client import PythonClient
from bench.mesh.rows.resume import Resume

if TYPE_CHECKING:
    from bench.row import Row

ROWS: tuple[type[Row], ...] = (EdgeHit, PythonClient, Embedded, Forwarded, Propagation, CrowdOfEdges, Resume)
