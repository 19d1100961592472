"""How the client's channels are set up: TLS, tokens, limits, keepalive, reconnection and retries. Opens nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Largest request or answer in bytes; the servers have the same limit."""

_RETRIED_PREFIXES = ("Get", "List", "Compare", "Trace")
_RETRIED_NAMES = frozenset({"ModelMetadata", "ModelConfig", "ModelStatistics", "RepositoryIndex", "ServerMetadata"})
_LOOPBACK = ("127.", "localhost:", "[::1]:", "unix:")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for mutual TLS.

    Attributes:
        ca: Certificate of the authority that signed the servers' certificates.
        cert: The client's certificate; its common name is who the servers take the client for.
        key: The key of `cert`.
    """

    ca: Path
    cert: Path
    key: Path

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files. Raises OSError when one cannot be read."""
        return grpc.ssl_channel_credentials(
            root_certificates=Path(self.ca).read_bytes(),
            private_key=Path(self.key).read_bytes(),
            certificate_chain=Path(self.cert).read_bytes(),
        )


def channel_options(service: ServiceDescriptor, address: str) -> list[tuple[str, int | str]]:
    """Return the arguments of a channel to a service."""
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 5_000),  # in spite of its name, how long an attempt to connect may take
        ("grpc.max_reconnect_backoff_ms", 400),  # an edge node is to be back within a second of its line
        # A channel of its own for each client: closing one client must not disturb another's connection state.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 1),
        ("grpc.service_config", service_config(service)),
    ]
    if address.startswith(_LOOPBACK):
        options.append(("grpc.enable_http_proxy", 0))
    return options


def call_metadata(token: str) -> tuple[tuple[str, str], ...] | None:
    """Return what every call carries, or None for nothing."""
    return (("authorization", f"Bearer {token}"),) if token else None


def is_unix(address: str) -> bool:
    """Say whether an address is that of a Unix socket."""
    return address.startswith("unix:")


def service_config(service: ServiceDescriptor) -> str:
    """Return the retry policy: reads are repeated for under a second while a server is UNAVAILABLE."""
    names = [
        {"service": service.full_name, "method": method.name}
        for method in service.methods
        if is_retried(method.name) and not method.server_streaming and not method.client_streaming
    ]
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.4s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": policy}]})


def is_retried(method: str) -> bool:
    """Say whether an RPC only reads, so that a repeat is harmless."""
    return method.startswith(_RETRIED_PREFIXES) or method in _RETRIED_NAMES
