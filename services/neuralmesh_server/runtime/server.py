"""A gRPC server of the suite: its services, health, reflection, TLS, and a stop that drains.

The server owns its grpc objects; everything runs on the loop that called `start`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from google.protobuf import descriptor_pb2, descriptor_pool
from google.rpc import error_details_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from neuralmesh_server.runtime.tls import server_credentials
from neuralmesh_server.runtime.transport import SERVER_OPTIONS
from neuralmesh_server.settings import Endpoint, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

    from neuralmesh_server.settings import ServerSettings

log = structlog.get_logger()

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Server:
    """One listening gRPC server.

    Args:
        settings: Where and how to listen.
        services: Contract and generic handler of each service.

    Health answers for the empty name and for every service's full name. All are NOT_SERVING until `set_serving`.
    """

    def __init__(
        self,
        settings: ServerSettings,
        services: Sequence[tuple[ServiceDescriptor, grpc.GenericRpcHandler]],
    ) -> None:
        self._settings = settings
        self._descriptors = [descriptor for descriptor, _ in services]
        self._handlers = [handler for _, handler in services]
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self.endpoint = settings.listen

    async def start(self) -> Endpoint:
        """Listen; returns the address with the port that was bound.

        Raises:
            SettingsError: The address cannot be bound, or a TLS file is wrong.
        """
        collector = _HandlerCollector()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, collector)
        names = [descriptor.full_name for descriptor in self._descriptors]
        reflected = [*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
        reflected.append(reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            ReflectionServicer(reflected, pool=_reflection_pool(self._descriptors)), collector
        )
        server = grpc.aio.server(options=SERVER_OPTIONS)
        server.add_generic_rpc_handlers([*self._handlers, *collector.handlers])
        listen = self._settings.listen
        credentials = None if self._settings.tls is None else server_credentials(self._settings.tls)
        try:
            if credentials is None:
                port = server.add_insecure_port(str(listen))
            else:
                port = server.add_secure_port(str(listen), credentials)
        except RuntimeError as error:
            raise SettingsError(f"cannot listen on {listen}: the port is taken or not permitted") from error
        await self.set_serving(serving=False)
        await server.start()
        self._server = server
        self.endpoint = Endpoint(listen.host, port)
        return self.endpoint

    async def set_serving(self, *, serving: bool, names: Sequence[str] | None = None) -> None:
        """Set the health of the named services, or of the server and all its services."""
        if names is None:
            names = ["", *(descriptor.full_name for descriptor in self._descriptors)]
        for name in names:
            await self._health.set(name, _SERVING if serving else _NOT_SERVING)

    async def stop(self) -> None:
        """Say NOT_SERVING, refuse new calls, let accepted ones finish within the grace period, then cancel them."""
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._settings.drain_seconds)
        self._server = None

    async def wait_stopped(self) -> None:
        """Return when the server has stopped."""
        if self._server is not None:
            await self._server.wait_for_termination()


class _HandlerCollector:
    """Takes the handlers that generated code would add to a server, and leaves the registered kind out."""

    def __init__(self) -> None:
        self.handlers: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self.handlers.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        del service, handlers


def _reflection_pool(services: Sequence[ServiceDescriptor]) -> descriptor_pool.DescriptorPool:
    """Return one pool that holds every reflected file, whatever pool each came from."""
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        pool.Add(descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb))

    for service in services:
        add(service.file)
    add(health_pb2.DESCRIPTOR)
    add(reflection_pb2.DESCRIPTOR)
    add(error_details_pb2.DESCRIPTOR)  # every error carries an ErrorInfo, which reflecting clients can then show
    return pool


async def drain(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel background tasks and wait until each has ended; errors other than the cancellation are raised."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result
