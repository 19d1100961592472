"""A gRPC server of the suite: its services, health and reflection, and what it listens with.

Everything runs on the loop that called `start`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.runtime.access import READER, Rule, check
from neuralmesh_server.runtime.gate import principal_of
from neuralmesh_server.runtime.handlers import abort
from neuralmesh_server.runtime.health import Health
from neuralmesh_server.runtime.listener import Offer, is_native
from neuralmesh_server.runtime.listener_front import FrontListener
from neuralmesh_server.runtime.listener_grpc import GrpcListener
from neuralmesh_server.settings import Endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    import grpc
    from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

    from liam_core.front import Front
    from neuralmesh_server.runtime.access import Access
    from neuralmesh_server.runtime.listener import Listener, Quick
    from neuralmesh_server.settings import ServerSettings

REFLECTION = Rule((READER,), anywhere=True)
"""What reading the contracts from a server needs. Health is open to everyone."""


class Server:
    """One listening gRPC server.

    Args:
        settings: Where and how to listen.
        services: Contract and generic handler of each service.
        access: Who may read the contracts by reflection; None lets everybody.
        quick: See `listener.Offer`.

    Attributes:
        health: The health of every name.
        front: The native front where that listens, else None.

    Health answers for the empty name and for every service's full name. All are NOT_SERVING until `set_serving`.
    """

    def __init__(
        self,
        settings: ServerSettings,
        services: Sequence[tuple[ServiceDescriptor, grpc.GenericRpcHandler]],
        access: Access | None = None,
        quick: Mapping[str, Quick] | None = None,
    ) -> None:
        self._access = access
        self._descriptors = [descriptor for descriptor, _ in services]
        self._handlers = [handler for _, handler in services]
        self._quick = quick or {}
        self.health = Health()
        self.front: Front | None = None
        self._listener: Listener
        if is_native(settings):
            listener = FrontListener(settings)
            self._listener, self.front = listener, listener.front
        else:
            self._listener = GrpcListener(settings)
        self._started = False
        self.endpoint = settings.listen

    async def start(self) -> Endpoint:
        """Listen; returns the address with the port that was bound.

        Raises:
            SettingsError: An address cannot be bound, or a TLS file is wrong.
        """
        health, reflection = (
            health_pb2.DESCRIPTOR.services_by_name["Health"],
            reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
        )
        contracts = [*self._descriptors, health, reflection]
        collector = _HandlerCollector()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, collector)
        names = [contract.full_name for contract in contracts]
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            _Reflection(self._access, names, pool=_reflection_pool(self._descriptors)), collector
        )
        await self.set_serving(serving=False)
        port = await self._listener.start(Offer(contracts, [*self._handlers, *collector.handlers], self._quick))
        self._started = True
        self.endpoint = Endpoint(self.endpoint.host, port)
        return self.endpoint

    async def set_serving(self, *, serving: bool, names: Sequence[str] | None = None) -> None:
        """Set the health of the named services, or of the server and all its services."""
        if names is None:
            names = ["", *(descriptor.full_name for descriptor in self._descriptors)]
        for name in names:
            self.health.set(name, serving=serving)

    async def stop(self) -> None:
        """Say NOT_SERVING, refuse new calls, let accepted ones finish within the grace period, then cancel them."""
        if self._started:
            self._started = False
            self.health.shut_down()
            await self._listener.stop()


class _Reflection(ReflectionServicer):  # type: ignore[misc]  # the package has no types
    """Reflection for those who are let in."""

    def __init__(self, access: Access | None, names: Sequence[str], pool: descriptor_pool.DescriptorPool) -> None:
        super().__init__(names, pool=pool)
        self._access = access

    async def ServerReflectionInfo(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the contract's
        """Answer questions about the contracts."""
        try:
            if self._access is not None:
                check(REFLECTION, principal_of(context, self._access), "")
        except NeuralMeshError as error:
            await abort(context, error)
            return
        async for answer in super().ServerReflectionInfo(requests, context):
            yield answer


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
