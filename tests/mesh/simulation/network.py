"""The line between one edge node and the registry: messages take their time, streams break, one direction may be dead.

Messages cross it as the bytes that the contract makes of them, so that both sides' conversions are part of what is
simulated. Within a stream nothing is lost; what is lost takes its stream with it, as on any real line. Doubled and
swapped steps stand for whatever stands between and is worse than that.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from neuralmesh.mesh.v1 import mesh_service_pb2 as pb
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference.edge import convert_mesh as node_side
from neuralmesh_server.inference.links import LinkError
from tests.mesh.simulation.chance import FAIR, Chance, Weather

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from neuralmesh_server.inference.edge.desired import MeshStep
    from neuralmesh_server.inference.edge.mesh import Figures, Hello, Verdict
    from neuralmesh_server.registry.mesh.service import MeshServicer

SILENT_SECONDS = 30.0
DEAD_SECONDS = 40.0
"""When a registry notices that a node is not there any more: nothing of a stream arrives for so long."""
PIECE_BYTES = 256
STRANGER: Any = SimpleNamespace(identity=None)
"""A call by somebody who proves nothing."""


class Wire:
    """One edge's line.

    Args:
        chance: Its luck.
        hub: Returns the registry's edge, or None while the registry is down.
        artifact: Returns an artifact's bytes by its digest, or None where the registry does not hold it.

    Attributes:
        weather: How bad it is.
        is_cut: Nothing passes.
        mute_up: What the node says vanishes.
        mute_down: What the registry says vanishes.
        carried_bytes: Bytes of artifacts that reached the node.
        heard: Steps that reached it in all its streams, as somebody on the line may have written them down.
    """

    def __init__(
        self, chance: Chance, hub: Callable[[], MeshServicer | None], artifact: Callable[[str], bytes | None]
    ) -> None:
        self._chance = chance
        self._hub = hub
        self._artifact = artifact
        self._streams: set[Stream] = set()
        self.weather: Weather = FAIR
        self.is_cut = self.mute_up = self.mute_down = False
        self.carried_bytes = 0
        self.heard: list[bytes] = []

    @property
    def chance(self) -> Chance:
        """Its luck."""
        return self._chance

    def cut(self) -> None:
        """Break every stream and let none begin."""
        self.is_cut = True
        self.reset()

    def mend(self) -> None:
        """Be a good line again."""
        self.is_cut = self.mute_up = self.mute_down = False
        self.weather = FAIR

    def reset(self) -> None:
        """Break every stream; new ones may begin."""
        for stream in list(self._streams):
            stream.break_off()

    def replay(self) -> None:
        """Say something again that the registry said some time."""
        for stream in self._streams if self.heard else ():
            stream.say(self.heard[self._chance.whole(0, len(self.heard) - 1)])

    async def delay(self) -> None:
        """Take the time that a message takes."""
        await asyncio.sleep(self._chance.below(self.weather.delay_seconds))

    @asynccontextmanager
    async def open(self, hello: Hello) -> AsyncIterator[Stream]:
        """Open a stream and say hello; see neuralmesh_server.inference.edge.mesh.MeshLink."""
        await self.delay()
        hub = self._hub()
        if self.is_cut or hub is None:
            raise LinkError("PEER_UNREACHABLE", "there is no line", unreachable=True)
        stream = Stream(self, hub, hello)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)
            await stream.close()

    async def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """Yield an artifact's bytes; see neuralmesh_server.inference.holding.artifacts.Source."""
        content = self._artifact(digest)
        if content is None:
            raise LinkError("ARTIFACT_NOT_FOUND", f"no artifact {digest}", unreachable=False)
        while offset < len(content):
            await self.delay()
            if self.is_cut or self._hub() is None or self._chance.happens(self.weather.lost):
                raise LinkError("PEER_UNREACHABLE", "the line broke", unreachable=True)
            if self.mute_up or self.mute_down:
                await asyncio.sleep(DEAD_SECONDS)
                continue
            piece = content[offset : offset + PIECE_BYTES]
            if self._chance.happens(self.weather.damaged):
                at = self._chance.whole(0, len(piece) - 1)
                piece = piece[:at] + bytes((piece[at] ^ 1,)) + piece[at + 1 :]
            self.carried_bytes += len(piece)
            offset += len(piece)
            yield piece


class Stream:
    """One Sync; see neuralmesh_server.inference.edge.mesh.MeshSession."""

    def __init__(self, wire: Wire, hub: MeshServicer, hello: Hello) -> None:
        self._wire = wire
        self._up: asyncio.Queue[bytes] = asyncio.Queue()
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()
        self._down: asyncio.Queue[bytes | LinkError] = asyncio.Queue()
        self._up.put_nowait(node_side.hello(hello).SerializeToString())
        self._tasks = [asyncio.create_task(self._serve(hub)), asyncio.create_task(self._carry())]

    async def read(self) -> MeshStep:
        """Return the next step."""
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                found = await self._down.get()
        except TimeoutError as error:
            raise LinkError("PEER_UNREACHABLE", "nothing was heard", unreachable=True) from error
        if isinstance(found, LinkError):
            raise found
        return node_side.step(pb.SyncResponse.FromString(found))

    async def report(self, verdict: Verdict, figures: Figures) -> None:
        """Say what became of a state."""
        self._up.put_nowait(node_side.report(verdict, figures).SerializeToString())

    async def finish(self) -> None:
        """Wait until what was said may have arrived."""
        await asyncio.sleep(2 * self._wire.weather.delay_seconds)

    def say(self, step: bytes) -> None:
        """Let a step reach the node."""
        self._down.put_nowait(step)

    def break_off(self) -> None:
        """End it for both sides."""
        for task in self._tasks:
            task.cancel()
        self._down.put_nowait(LinkError("PEER_UNREACHABLE", "the line broke", unreachable=True))

    async def close(self) -> None:
        """End it at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, hub: MeshServicer) -> None:
        try:
            async with aclosing(hub.sync(self._requests(), STRANGER)) as steps:
                async for step in steps:
                    self._sent.put_nowait(step.SerializeToString())
        except NeuralMeshError as error:
            unreachable = error.code == "UNAVAILABLE"
            self._down.put_nowait(LinkError(error.reason, error.message, unreachable=unreachable))
            return
        self._down.put_nowait(LinkError("PEER_UNREACHABLE", "the registry ended the stream", unreachable=True))

    async def _requests(self) -> AsyncIterator[pb.SyncRequest]:
        wire = self._wire
        while True:
            said = await self._up.get()
            await wire.delay()
            if wire.mute_up:
                continue
            if wire.chance.happens(wire.weather.lost):
                self._down.put_nowait(LinkError("PEER_UNREACHABLE", "the line broke", unreachable=True))
                return
            yield pb.SyncRequest.FromString(said)

    async def _carry(self) -> None:
        """Bring steps to the node, each after its time."""
        wire, chance = self._wire, self._wire.chance
        while True:
            step = await self._sent.get()
            await wire.delay()
            if wire.mute_down:
                continue
            if chance.happens(wire.weather.lost):
                self.break_off()
                return
            if chance.happens(wire.weather.swapped):
                behind = await self._sent.get()
                self._down.put_nowait(behind)
            self._down.put_nowait(step)
            wire.heard.append(step)
            if chance.happens(wire.weather.doubled):
                self._down.put_nowait(step)
