"""Faults of a line, and what holds whatever a line does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from neuralmesh_server.demo.mesh.line import Faults

if TYPE_CHECKING:
    from neuralmesh_server.demo.mesh.line import Line
    from tests.mesh.processes import Site

FAULTS = {
    "slow": Faults(delay_seconds=0.2),
    "cut early": Faults(cut_down_at=600),
    "cut within the artifact": Faults(cut_down_at=2_500),
    "damaged early": Faults(flip_down_at=500),
    "damaged within the artifact": Faults(flip_down_at=2_600),
    "half closed": Faults(half_close_at=1_500),
}


def converges_over(site: Site, line: Line, faults: Faults) -> None:
    """Start the node behind a bad line and hold it to the registry's state; then move the alias over a good one."""
    line.faults = replace(faults)
    site.start(through=line.address)
    site.await_version(1)
    site.await_converged()
    line.faults = Faults()
    site.promote(2)
    site.await_version(2)
    site.await_converged()
