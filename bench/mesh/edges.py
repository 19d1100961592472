"""Many edge nodes in one process, as far as the registry sees them: they follow, acknowledge and serve nothing.

`python -m bench.mesh.edges ADDRESS COUNT [LABEL=VALUE ...]`. Each has a channel of its own, as a
machine would. It prints

    up SECONDS              when every node has its state, counted from the start or from the loss of the line
    at REVISION NANOSECONDS when the last node has acknowledged a change, on the system's monotonic clock
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from typing import TYPE_CHECKING

from neuralmesh_server.runtime import transport

transport.configure()

import grpc  # noqa: E402 - the transport is configured before grpc is imported
import uvloop  # noqa: E402

from neuralmesh.mesh.v1 import mesh_service_pb2 as pb  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

SYNC = "/neuralmesh.mesh.v1.MeshService/Sync"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


class Crowd:
    """Nodes that are counted together."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._started = time.monotonic()
        self._connected: set[str] = set()
        self._at: dict[int, int] = {}
        self._whole = False

    def connected(self, node: str) -> None:
        """Take note that a node has its state."""
        self._connected.add(node)
        if len(self._connected) == self._count and not self._whole:
            self._whole = True
            say(f"up {time.monotonic() - self._started:.3f}")

    def lost(self, node: str) -> None:
        """Take note that a node lost its line."""
        if self._whole:
            self._whole, self._started = False, time.monotonic()
        self._connected.discard(node)

    def changed(self, revision: int) -> None:
        """Take note that a node has acknowledged a change."""
        self._at[revision] = self._at.get(revision, 0) + 1
        if self._at[revision] == self._count:
            del self._at[revision]
            say(f"at {revision} {time.monotonic_ns()}")


class Edge:
    """One node: it holds a revision and a digest, and nothing else."""

    def __init__(self, crowd: Crowd, address: str, node: str, labels: Mapping[str, str]) -> None:
        self._crowd = crowd
        self._address = address
        self._node = node
        self._labels = dict(labels)
        self._key = secrets.token_bytes(32)
        self._revision, self._digest = 0, b""
        self._pause = FIRST_PAUSE_SECONDS

    async def run(self) -> None:
        """Follow until cancelled."""
        async with grpc.aio.insecure_channel(self._address, OPTIONS) as channel:
            method = channel.stream_stream(
                SYNC,
                request_serializer=pb.SyncRequest.SerializeToString,
                response_deserializer=pb.SyncResponse.FromString,
            )
            while True:
                try:
                    await self._follow(method())
                except grpc.aio.AioRpcError:
                    self._crowd.lost(self._node)
                await asyncio.sleep(self._pause * (0.5 + secrets.randbelow(1000) / 1000))
                self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    async def _follow(self, call: grpc.aio.StreamStreamCall) -> None:
        hello = pb.Hello(
            node=self._node,
            labels=self._labels,
            applied_revision=self._revision,
            state_digest=self._digest,
            id_key=self._key,
            endpoint="127.0.0.1:1",
        )
        await call.write(pb.SyncRequest(hello=hello))
        while (response := await call.read()) is not grpc.aio.EOF:
            self._pause = FIRST_PAUSE_SECONDS
            changed = response.state_digest != self._digest
            self._revision, self._digest = response.revision, response.state_digest
            # As a node does: after each state, and at least every 10 seconds, as often as the registry says something.
            report = pb.Report(outcome=pb.Report.OUTCOME_APPLIED, revision=self._revision, state_digest=self._digest)
            await call.write(pb.SyncRequest(report=report))
            if changed:
                self._crowd.changed(self._revision)
            self._crowd.connected(self._node)
        self._crowd.lost(self._node)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(address: str, count: int, labels: Mapping[str, str]) -> None:
    """Run so many nodes until cancelled."""
    crowd = Crowd(count)
    edges = [Edge(crowd, address, f"simulated-{number}", {**labels, "site": f"s{number}"}) for number in range(count)]
    await asyncio.gather(*(edge.run() for edge in edges))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), dict(label.split("=", 1) for label in sys.argv[3:])))
