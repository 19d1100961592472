"""Listening with grpcio's asynchronous server: TLS, and systems that the native front does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from neuralmesh_server.runtime import draining, unix_socket
from neuralmesh_server.runtime.tls import server_credentials
from neuralmesh_server.runtime.transport import server_options
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from neuralmesh_server.runtime.listener import Offer
    from neuralmesh_server.settings import ServerSettings


class GrpcListener:
    """A grpcio server; see `listener.Listener`."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._refusal = draining.Refusal()
        self._server: grpc.aio.Server | None = None
        self._port = 0

    async def start(self, offer: Offer) -> int:
        """Listen; returns the TCP port."""
        server = grpc.aio.server(options=server_options(shared_port=self._settings.shared_port))
        server.add_generic_rpc_handlers([self._refusal, *offer.handlers])
        self._port = self._bind(server)
        await server.start()
        self._server = server
        return self._port

    def _bind(self, server: grpc.aio.Server) -> int:
        """Bind all addresses; returns the port."""
        listen, local, tls = self._settings.listen, self._settings.socket, self._settings.tls
        credentials = None if tls is None else server_credentials(tls)
        try:
            if credentials is None:
                port = server.add_insecure_port(str(listen))
            else:
                port = server.add_secure_port(str(listen), credentials)
        except RuntimeError as error:
            raise SettingsError(f"cannot listen on {listen}: the port is taken or not permitted") from error
        if local is not None:
            unix_socket.make_way(local.path)
            try:
                with unix_socket.private():
                    server.add_insecure_port(str(local))
            except RuntimeError as error:
                raise SettingsError(f"cannot listen on {local}: not permitted") from error
        return int(port)

    async def stop(self) -> None:
        """Refuse, drain, close."""
        if self._server is None:
            return
        self._refusal.begin()
        await draining.accepted_calls_done(self._settings.drain_seconds)
        draining.stop_reading(self._port)
        await self._refusal.quiet()
        await self._server.stop(None)
        self._server = None
        if self._settings.socket is not None:
            unix_socket.remove(self._settings.socket.path)
