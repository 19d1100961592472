"""What goes upward, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.inference.upstreams import convert_upstream
from neuralmesh_server.inference.upstreams.link_upstream import connect_upward
from neuralmesh_server.inference.upward.counts import Counts
from neuralmesh_server.inference.upward.forwarding import Forwarding
from neuralmesh_server.inference.upward.hedging import Hedging

if TYPE_CHECKING:
    from neuralmesh_server.inference.holding.replica import Replica
    from neuralmesh_server.inference.serving import Serving
    from neuralmesh_server.settings import InferenceSettings


class Upward:
    """A node's way up; without an upstream in its settings there is none, and nothing is counted.

    Args:
        settings: The node's.
        serving: What it serves.
        replica: What the registry says.

    Attributes:
        counts: What went upward.
        forwarding: What passes calls on; None without an upstream.
        hedging: What hedges runs; None where that is off.
    """

    def __init__(self, settings: InferenceSettings, serving: Serving, replica: Replica) -> None:
        self._serving = serving
        self._replica = replica
        self.counts = Counts()
        self.forwarding: Forwarding | None = None
        self.hedging: Hedging | None = None
        if settings.upstream is None:
            return
        link = connect_upward(settings.upstream, settings.server.tls, settings.token, direct=settings.direct)
        self.forwarding = Forwarding(
            link=link, label=str(settings.upstream), counts=self.counts, digest_of=self._digest_of
        )
        if settings.hedge:
            self.hedging = Hedging(self.forwarding, self.counts, convert_upstream.read_reply)

    async def close(self) -> None:
        """End all calls and the connection."""
        if self.hedging is not None:
            await self.hedging.close()
        if self.forwarding is not None:
            await self.forwarding.close()

    def _digest_of(self, model: str, version: str) -> str:
        snapshot = self._serving.current
        number = 0 if snapshot is None else snapshot.named(model, version)
        record = self._replica.versions.get((model, number))
        return "" if record is None else record.digest
