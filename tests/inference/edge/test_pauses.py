"""How soon an edge node dials again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

from neuralmesh_server.inference.edge.desired import MeshStep
from neuralmesh_server.inference.edge.follower import EdgeFollower
from neuralmesh_server.inference.holding.replica import Replica
from neuralmesh_server.inference.links import LinkError

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


async def test_two_nodes_with_one_key_do_not_fight() -> None:
    """A stream that ends as soon as it began is no reason to dial at once: the pauses grow all the same."""
    line: Any = Ending()
    reporting = MagicMock()
    reporting.run = lambda _: asyncio.sleep(3600)
    nothing: Any = lambda: None  # noqa: E731
    follower = EdgeFollower(
        mesh=line,
        replica=Replica(),
        reporting=reporting,
        node=MagicMock(),
        highest=lambda: 0,
        needed=list,
        heard=nothing,
        changed=nothing,
        advanced=nothing,
        connected=nothing,
        longest_pause=10.0,
    )
    task = asyncio.create_task(follower.run())
    await asyncio.sleep(1.0)
    task.cancel()
    await asyncio.wait([task])
    assert 2 <= line.opened <= 7
