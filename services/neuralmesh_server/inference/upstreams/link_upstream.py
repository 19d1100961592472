"""An upstream over gRPC: one channel, raw bytes, no retries, one kind of error."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import grpc

from liam_core import unary
from neuralmesh import TlsFiles, oip
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.request import HOPS_KEY
from neuralmesh_server.inference.upstreams import convert_upstream
from neuralmesh_server.inference.upstreams.convert_status import upstream_error
from neuralmesh_server.inference.upstreams.descriptor import TLS_MESH, TLS_SYSTEM
from neuralmesh_server.inference.upstreams.link_direct import CONNECT_SECONDS, DirectUpstream
from neuralmesh_server.runtime.transport import MAX_MESSAGE_BYTES
from neuralmesh_server.settings import Endpoint, SettingsError

if TYPE_CHECKING:
    from neuralmesh_server.inference.upstreams.link import (
        Description,
        Forward,
        Passing,
        Reply,
        Target,
        UpstreamError,
        UpwardLink,
    )
    from neuralmesh_server.settings import TlsSettings, UpstreamCredentials

_SERVICE = oip.SERVICE.full_name
_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # in spite of its name, how long an attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),  # its connection ends with it
    ("grpc.enable_retries", 0),  # a request that may have run is not sent again
)


def connect(target: Target, credentials: UpstreamCredentials | None, tls: TlsSettings | None) -> GrpcUpstream:
    """Return the link to a target; nothing is sent before it is used.

    Raises:
        LoadError: A PEM file cannot be read.
    """
    secrets = None
    try:
        if target.tls == TLS_MESH:
            assert tls is not None
            secrets = _mesh_credentials(tls)
        elif target.tls == TLS_SYSTEM:
            authority = credentials.authority if credentials else None
            secrets = grpc.ssl_channel_credentials(authority.read_bytes() if authority else None)
    except OSError as error:
        raise LoadError(f"{error.filename} cannot be read: {error.strerror}") from error
    return GrpcUpstream(target.address, secrets, credentials.token if credentials else "")


def connect_upward(address: Endpoint, tls: TlsSettings | None, token: str, *, direct: bool = True) -> UpwardLink:
    """Return the link to the node further up, with what this node's own calls carry; nothing is sent before it is used.

    Plain text goes through the kernel's own client where `direct` permits it and there is one, all else through grpcio.

    Raises:
        SettingsError: A PEM file cannot be read, or the token would go through a network in plain text.
    """
    if token and tls is None and not address.is_loopback:
        raise SettingsError(f"NEURALMESH_TOKEN is not sent to {address} in plain text")
    try:
        secrets = None if tls is None or address.path else _mesh_credentials(tls)
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be read: {error.strerror}") from error
    if direct and secrets is None and unary.AVAILABLE:
        return DirectUpstream(address, token)
    return GrpcUpstream(str(address), secrets, token)


def _mesh_credentials(tls: TlsSettings) -> grpc.ChannelCredentials:
    return TlsFiles(ca=tls.authority, cert=tls.certificate, key=tls.key).credentials()


class GrpcUpstream:
    """See neuralmesh_server.inference.upstreams.link.UpstreamLink and UpwardLink.

    Args:
        address: Where the upstream listens, `host:port` or `unix:/path`.
        credentials: TLS; None for plain text.
        token: Bearer token of every call; empty for none.
    """

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None, token: str) -> None:
        loopback = Endpoint.parse_peer(address, name="address").is_loopback
        options = [*_OPTIONS, ("grpc.enable_http_proxy", 0)] if loopback else list(_OPTIONS)
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options)
        self._authorization = (("authorization", f"Bearer {token}"),) if token else ()
        self._live = self._method("ServerLive")
        self._ready = self._method("ModelReady")
        self._metadata = self._method("ModelMetadata")
        self._infer = self._method("ModelInfer")

    async def ready(self, model: str, version: str, seconds: float) -> bool:
        """Say whether the upstream would answer for a model."""
        return convert_upstream.read_ready(
            await self._call(self._ready, convert_upstream.write_ready(model, version), seconds)
        )

    async def describe(self, model: str, version: str, seconds: float) -> Description:
        """Return what the upstream says of a model."""
        return convert_upstream.read_metadata(
            await self._call(self._metadata, convert_upstream.write_metadata(model, version), seconds)
        )

    async def infer(self, forward: Forward) -> Reply:
        """Return the answer to a request; cancelling this cancels the call."""
        data = convert_upstream.write_forward(forward)
        metadata = ((HOPS_KEY, str(forward.hops)), *forward.metadata)
        return convert_upstream.read_reply(await self._call(self._infer, data, forward.seconds, metadata))

    async def pass_on(self, passing: Passing) -> bytes:
        """Return the bytes of the answer; cancelling this cancels the call."""
        return await self._call(self._infer, passing.data, passing.seconds, passing.metadata, CONNECT_SECONDS)

    async def close(self) -> None:
        """End all calls and the connection."""
        await self._channel.close()

    def _method(self, name: str) -> grpc.aio.UnaryUnaryMultiCallable:
        return self._channel.unary_unary(f"/{_SERVICE}/{name}")

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable,
        data: bytes,
        seconds: float,
        metadata: tuple[tuple[str, str], ...] = (),
        connect_seconds: float = math.inf,
    ) -> bytes:
        if self._channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            seconds -= await self._connect(min(seconds, connect_seconds))
        try:
            answer: bytes = await method(data, timeout=seconds, metadata=(*self._authorization, *metadata))
        except grpc.aio.AioRpcError as error:
            raise _upstream_error(error, sent=True) from error
        return answer

    async def _connect(self, seconds: float) -> float:
        """Ask for nothing that runs, so that a request is sent only where there is a connection; returns the time."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            await self._live(b"", timeout=seconds, metadata=self._authorization)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise _upstream_error(error, sent=False) from error
        return loop.time() - started


def _upstream_error(error: grpc.aio.AioRpcError, *, sent: bool) -> UpstreamError:
    return upstream_error(error.code().name, error.details() or "", tuple(error.trailing_metadata() or ()), sent=sent)
