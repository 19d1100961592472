"""The one place that decides how grpc runs: version-dependent experiments, the event loop, channel arguments.

`configure` must run before grpc is imported for the first time in the process. The choices and their measured effect
are in docs/adr/0001-transport.md.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Largest request or answer in bytes."""

MAX_PENDING_CALLS = 1_000_000
"""Calls that have been read and wait for a handler. Past its own limits, 1,000 at random and 3,000 for certain, grpc
answers CANCELLED, which callers must not repeat; what is too much is for admission to say, in its own words."""

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # two servers on one port is a mistake that must fail at start
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.enable_channelz", 0),
    ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
    ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_CALLS),
)


def server_options(*, shared_port: bool = False) -> list[tuple[str, int]]:
    """Return the arguments of a server, which may share its port with other processes."""
    return list({**dict(SERVER_OPTIONS), "grpc.so_reuseport": int(shared_port)}.items())


class TransportError(RuntimeError):
    """The transport cannot be configured any more."""


def configure(environ: MutableMapping[str, str] | None = None) -> None:
    """Switch off the event-engine listener, which halves the throughput of grpcio 1.79 to 1.83.

    And what grpc does in a process that was forked: where a channel is open, that takes the new process down before it
    becomes the program that was to be started, and nothing here goes on after a fork without starting one.

    Raises:
        TransportError: grpc is imported already and would ignore the setting.
    """
    environ = os.environ if environ is None else environ
    wanted = "-event_engine_listener"
    current = environ.get("GRPC_EXPERIMENTS", "")
    if wanted in current.split(","):
        return
    if "grpc" in sys.modules:
        raise TransportError("runtime.transport.configure() must run before grpc is imported")
    environ["GRPC_EXPERIMENTS"] = f"{current},{wanted}" if current else wanted
    environ.setdefault("GRPC_VERBOSITY", "ERROR")
    environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
