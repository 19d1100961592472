"""A client that shares nothing with the server but the RFCs: gRPC by hand over hyper's h2."""

import asyncio
import struct
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from neuralmesh_server.settings import Endpoint
from tests.runtime.echo import INFER

Fields = list[tuple[str, str]]
REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", INFER),
    (":authority", "test"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


def grpc_message(data: bytes, *, compressed: bool = False) -> bytes:
    """Return a message with what gRPC puts before it."""
    return struct.pack(">BI", compressed, len(data)) + data


@dataclass
class Reply:
    """What came on a stream.

    Attributes:
        headers: The first fields.
        data: Of all DATA frames.
        trailers: The fields that ended it, where others came before.
        ended: The server has said everything.
        reset: The code of RST_STREAM.
    """

    headers: Fields = field(default_factory=list)
    data: bytes = b""
    trailers: Fields = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    def messages(self) -> list[bytes]:
        """Return the whole messages among the data."""
        found, at = [], 0
        while at + 5 <= len(self.data):
            size = int.from_bytes(self.data[at + 1 : at + 5])
            if at + 5 + size > len(self.data):
                break
            found.append(self.data[at + 5 : at + 5 + size])
            at += 5 + size
        return found

    @property
    def status(self) -> tuple[str | None, str]:
        """grpc-status and grpc-message, wherever they stand."""
        said = dict(self.headers) | dict(self.trailers)
        return said.get("grpc-status"), said.get("grpc-message", "")


class Peer:
    """One connection. It gives back the windows of what it receives, unless `reading` is false."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.replies: defaultdict[int, Reply] = defaultdict(Reply)
        self.reading = True
        self.farewell: int | None = None
        self._pings = 0
        self.closed = False

    @classmethod
    async def open(cls, endpoint: Endpoint, settings: dict[int, int] | None = None) -> Self:
        """Connect and greet."""
        host = endpoint.host.strip("[]")
        peer = cls(*await asyncio.open_connection(host, endpoint.port))
        peer.h2.initiate_connection()
        if settings:
            peer.h2.update_settings(settings)
        await peer.flush()
        await peer.until(lambda: peer.h2.remote_settings.initial_window_size > 65535)
        return peer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def flush(self) -> None:
        """Send what h2 wants to be sent."""
        self._writer.write(self.h2.data_to_send())
        await self._writer.drain()

    async def raw(self, data: bytes) -> None:
        """Send bytes that h2 knows nothing of."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bool:
        """Take in what the server sends next; False when it has closed."""
        try:
            data = await self._reader.read(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return False
        for event in self.h2.receive_data(data):
            self._happened(event)
        await self.flush()
        return True

    async def until(self, holds: Callable[[], bool]) -> None:
        """Receive until something holds, or the server has closed."""
        async with asyncio.timeout(30):
            while not holds() and not self.closed:
                await self.receive()

    def _happened(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=int(stream), headers=list(fields)):
                self.replies[stream].headers = [(str(name), str(value)) for name, value in fields]
            case h2.events.TrailersReceived(stream_id=int(stream), headers=list(fields)):
                self.replies[stream].trailers = [(str(name), str(value)) for name, value in fields]
            case h2.events.DataReceived(stream_id=int(stream), data=bytes(data), flow_controlled_length=int(size)):
                self.replies[stream].data += data
                if self.reading:
                    self.h2.acknowledge_received_data(size, stream)
            case h2.events.StreamEnded(stream_id=int(stream)):
                self.replies[stream].ended = True
            case h2.events.StreamReset(stream_id=int(stream), error_code=code):
                self.replies[stream].reset = int(code or 0)
            case h2.events.PingAckReceived():
                self._pings += 1
            case h2.events.ConnectionTerminated(error_code=code):
                self.farewell = int(code or 0)

    async def begin(self, extra: Sequence[tuple[str, str]] = (), *, end: bool = False, **pseudo: str) -> int:
        """Open a stream with the fields of a call, more of them, and others for pseudo-fields; returns its number."""
        fields = [(name, pseudo.get(name.strip(":").replace("-", "_"), value)) for name, value in REQUEST]
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [*fields, *extra], end_stream=end)
        await self.flush()
        return stream

    async def send(self, stream: int, data: bytes, *, end: bool = False, frame: int = 16384) -> None:
        """Send data in frames of a size, as fast as the server permits."""
        at = 0
        while at < len(data):
            await self.until(lambda: self.h2.local_flow_control_window(stream) > 0)
            assert not self.closed
            size = min(frame, self.h2.max_outbound_frame_size, self.h2.local_flow_control_window(stream))
            self.h2.send_data(stream, data[at : at + size])
            at += size
            await self.flush()
        if end:
            self.h2.end_stream(stream)
            await self.flush()

    async def reply(self, stream: int) -> Reply:
        """Return what came on a stream when it is over."""
        reply = self.replies[stream]
        await self.until(lambda: reply.ended or reply.reset is not None)
        return reply

    async def call(self, body: bytes, extra: Sequence[tuple[str, str]] = (), **pseudo: str) -> Reply:
        """Make a call with the body of one DATA stream and return what came."""
        stream = await self.begin(extra, **pseudo)
        await self.send(stream, body, end=True)
        return await self.reply(stream)

    async def ping(self) -> None:
        """Return when the server has read everything that was sent so far and its answers are here."""
        expected = self._pings + 1
        self.h2.ping(b"12345678")
        await self.flush()
        await self.until(lambda: self._pings == expected)

    async def cancel(self, stream: int) -> None:
        """Reset a stream."""
        self.h2.reset_stream(stream, 8)
        await self.flush()
