"""How soon an edge node dials again, on a clock that jumps from one event to the next."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from neuralmesh_server.inference.edge.desired import MeshStep
from neuralmesh_server.inference.edge.follower import EdgeFollower, Identity
from neuralmesh_server.inference.holding.replica import Replica
from neuralmesh_server.inference.links import LinkError
from tests.mesh.simulation import virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Ending:
    """A line whose every stream brings the whole state, and then ends."""

    def __init__(self) -> None:
        self.opened = 0
        self._told = False

    @asynccontextmanager
    async def open(self, hello: object) -> AsyncIterator[Ending]:
        """Open a stream."""
        del hello
        self.opened, self._told = self.opened + 1, False
        yield self

    async def read(self) -> MeshStep:
        """Return the state once."""
        if self._told:
            raise LinkError("PEER_UNREACHABLE", "the registry ended the stream", unreachable=True)
        self._told = True
        return MeshStep(1, Replica().digest(), whole=True)


class Silent:
    """Reports nothing."""

    async def run(self, session: object) -> None:
        """Wait until cancelled."""
        del session
        await asyncio.get_running_loop().create_future()


async def opened(seconds: float) -> int:
    """Return how many streams a node opens in a time when none of them lasts."""
    line: Any = Ending()
    reporting: Any = Silent()
    follower = EdgeFollower(
        mesh=line,
        replica=Replica(),
        reporting=reporting,
        node=lambda: Identity("edge-1", {}, b"", 0, ""),
        highest=lambda: (0, b""),
        needed=list,
        heard=lambda: None,
        changed=lambda _: None,
        advanced=lambda _: None,
        connected=lambda: None,
        longest_pause=10.0,
    )
    following = asyncio.create_task(follower.run())
    await asyncio.sleep(seconds)
    following.cancel()
    await asyncio.wait([following])
    return int(line.opened)


def test_two_nodes_with_one_key_do_not_fight() -> None:
    """A stream that ends as soon as it began is no reason to dial at once: the pauses grow all the same."""
    soon, later = virtual_time.run(opened(1.0)), virtual_time.run(opened(60.0))
    assert 2 <= soon <= 7
    assert soon < later <= 22
