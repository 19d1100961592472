"""What a server listens with: the native front where it can, grpcio's own server where it must.

Both answer with the same handlers, so what a call means does not depend on which one took it. Why there are two, and
what each costs, is in docs/adr/0007-native-front.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from liam_core import front
from neuralmesh_server.settings import NATIVE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    import grpc
    from google.protobuf.descriptor import ServiceDescriptor

    from neuralmesh_server.settings import ServerSettings


Quick: TypeAlias = "Callable[[bytes], bytes | asyncio.Future[bytes | None] | None]"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server answers.

    Attributes:
        contracts: Its services.
        handlers: What answers them, asked in this order.
        quick: By the path of a unary method, what may answer a request's bytes at once, or by a future of the answer;
            None leaves it to the handler. Asked only for requests that the front's codec found valid and did not run.
    """

    contracts: Sequence[ServiceDescriptor]
    handlers: Sequence[grpc.GenericRpcHandler]
    quick: Mapping[str, Quick] = field(default_factory=dict)


class Listener(Protocol):
    """Takes calls from sockets and hands them to handlers, on the loop that called `start`."""

    async def start(self, offer: Offer) -> int:
        """Listen; returns the TCP port.

        Raises:
            SettingsError: An address cannot be bound, or a TLS file is wrong.
        """

    async def stop(self) -> None:
        """Refuse new calls, let accepted ones finish within the grace period, then end them and close."""


def is_native(settings: ServerSettings) -> bool:
    """Say whether the native front listens: it knows no TLS, and Linux alone."""
    return settings.transport == NATIVE and settings.tls is None and front.AVAILABLE
