"""What holds after a kill -9 at any point between two states of an edge node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh import exceptions
from tests.mesh.processes import ALIAS, MODEL, PATIENCE
from tests.processes import until

if TYPE_CHECKING:
    from tests.mesh.processes import Site


def killed_and_back(site: Site, point: str, number: int, *, offline: bool) -> None:
    """Kill the node at a point on its way from version 1 to version 2, start it again, and hold it to its promises."""
    site.start()
    site.await_version(1)
    site.await_converged()
    site.stop()
    site.promote(2)
    site.start(failpoint=(point, str(number)))
    site.await_kill()
    if offline:
        site.registry.kill()
        site.start()
        until(lambda: site.answers() > 0, "one of the two versions answers", PATIENCE)
        with site.client() as client:
            status = client.edge.get_edge_status()
            assert not status.connected
            held = status.applied_revision
        site.registry.start()
    else:
        site.start()
        held = 0
    site.await_version(2)
    site.await_converged()
    with site.client() as client:
        assert client.edge.get_edge_status().applied_revision >= held
        # The version before is there, so that a rollback needs no line.
        assert client.edge.override_alias(MODEL, ALIAS).override.version == 1
    assert site.answers() == 1
    with site.client() as client:
        client.edge.clear_override(MODEL, ALIAS)
        try:
            client.edge.clear_override(MODEL, ALIAS)
        except exceptions.NotFoundError:
            return
    raise AssertionError("an override was cleared twice")
