"""What is known of every node that ever said hello.

It is kept in memory and written down lazily: what a restart loses is told again by the nodes that are there. Silence is
measured on the monotonic clock, from the start of the registry where a node was not heard since.
"""

from __future__ import annotations

import asyncio
import bisect
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from neuralmesh_server.errors import FailedPreconditionError, NeuralMeshError, NotFoundError
from neuralmesh_server.registry.mesh.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from neuralmesh_server.registry.mesh.nodes import Hello, Report
    from neuralmesh_server.registry.mesh.selectors import Selector

log = structlog.get_logger()

SAVE_SECONDS = 5.0


class FleetStore(Protocol):
    """Keeps what is known of nodes over a restart."""

    async def load(self) -> list[Node]:
        """Return every node."""

    async def save(self, nodes: list[Node]) -> None:
        """Keep nodes in the place of those of their names."""

    async def delete(self, name: str) -> None:
        """Keep a node no more."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A node as it is seen now; `silence` is in seconds."""

    node: Node
    connected: bool
    silence: float


class Fleet:
    """The nodes by their names. It belongs to one loop.

    Args:
        store: Where they are kept.
        clock: Milliseconds since 1970.
        monotonic: Seconds of a clock that never jumps.
    """

    def __init__(self, store: FleetStore, clock: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._since = monotonic()
        self._nodes: dict[str, Node] = {}
        self._names: list[str] = []
        self._heard: dict[str, float] = {}
        self._connected: set[str] = set()
        self._unsaved: set[str] = set()

    async def open(self) -> None:
        """Read what was kept."""
        for node in await self._store.load():
            self._put(node)
        self._unsaved.clear()

    async def keep(self) -> None:
        """Write down what changed, every SAVE_SECONDS, until it is cancelled."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                await self.save()
            except NeuralMeshError as error:  # nothing of it is needed; the next round tries again
                log.warning("fleet_not_kept", why=error.message)

    async def save(self) -> None:
        """Write down what changed."""
        names, self._unsaved = self._unsaved, set()
        if not names:
            return
        try:
            await self._store.save([self._nodes[name] for name in sorted(names)])
        except BaseException:
            self._unsaved |= names & self._nodes.keys()  # the others were forgotten meanwhile
            raise

    def __iter__(self) -> Iterator[Node]:
        """Yield all nodes."""
        return iter(self._nodes.values())

    def sights(self) -> Iterable[Sight]:
        """Yield all nodes as they are seen now, in byte order of their names."""
        return (self._sight(name) for name in self._names)

    def page(self, after: str, limit: int, selector: Selector) -> list[Sight]:
        """Return nodes that a selector matches and whose names follow `after`, in byte order."""
        found: list[Sight] = []
        for name in self._names[bisect.bisect_right(self._names, after) :]:
            if selector.matches(self._nodes[name].labels):
                found.append(self._sight(name))
                if len(found) == limit:
                    break
        return found

    def node(self, name: str) -> Node:
        """Return a node."""
        return self._nodes[name]

    def is_connected(self, name: str) -> bool:
        """Say whether a node's stream is open."""
        return name in self._connected

    def was_heard(self, name: str) -> bool:
        """Say whether a node was heard since the registry started."""
        return name in self._heard

    def greet(self, hello: Hello) -> None:
        """Take a hello; its stream is open from now on."""
        now = self._clock()
        node = self._nodes.get(hello.node) or Node(hello.node, hello.labels, now)
        self._put(node.greeted(hello, now))
        self._connected.add(hello.node)
        self._heard[hello.node] = self._monotonic()

    def report(self, name: str, report: Report) -> None:
        """Take a report."""
        self._put(self._nodes[name].reported(report))
        self._heard[name] = self._monotonic()

    def left(self, name: str) -> None:
        """Take that a node's stream is over."""
        self._connected.discard(name)

    async def forget(self, name: str) -> Sight:
        """Know a node no more, until it says hello again; returns how it was last seen.

        Raises:
            NotFoundError: NODE_NOT_FOUND.
            FailedPreconditionError: NODE_CONNECTED.
        """
        if name not in self._nodes:
            raise NotFoundError("NODE_NOT_FOUND", f"no node {name!r} ever said hello", node=name)
        if name in self._connected:
            raise FailedPreconditionError("NODE_CONNECTED", f"node {name!r} is connected", node=name)
        sight = self._sight(name)
        del self._nodes[name]
        self._names.remove(name)
        self._heard.pop(name, None)
        self._unsaved.discard(name)
        await self._store.delete(name)
        return sight

    def want(self, name: str, digest: bytes, revision: int) -> None:
        """Take what a node is to hold at a revision."""
        node = self._nodes[name]
        if node.desired_digest != digest:
            self._put(dataclasses.replace(node, desired_digest=digest, desired_revision=revision))

    def _put(self, node: Node) -> None:
        if node.name not in self._nodes:
            bisect.insort(self._names, node.name)
        self._nodes[node.name] = node
        self._unsaved.add(node.name)

    def _sight(self, name: str) -> Sight:
        silence = self._monotonic() - self._heard.get(name, self._since)
        return Sight(self._nodes[name], name in self._connected, silence)
