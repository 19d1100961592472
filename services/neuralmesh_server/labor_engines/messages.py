"""What a pool and its processes say to one another: canonical JSON, each message behind its length in four bytes.

To a process: `{"open": job}`, `{"run": lease}`, `{"drop": token}`, `{"close": job}`. From it: `{"ready": pid}`,
`{"done": ...}`, `{"failed": ...}`. The end of the stream says that the other side is gone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical
from neuralmesh_server.labor.desk import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuralmesh_server.canonical import Fact

LENGTH_BYTES = 4
MAX_BYTES = 256 * 1024 * 1024
"""Largest message; a result lists every row that was skipped."""


def encode(message: Fact) -> bytes:
    """Return the bytes of a message with its length."""
    data = canonical.encode(message)
    assert len(data) <= MAX_BYTES
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def decode(data: bytes) -> dict[str, Any]:
    """Return the message in bytes without their length; raises ValueError."""
    message = json.loads(data)
    if not isinstance(message, dict) or len(message) != 1:
        raise ValueError(f"this is no message: {data[:100]!r}")
    return message


def length(data: bytes) -> int:
    """Return the length in the four bytes before a message; raises ValueError where no message is as long."""
    size = int.from_bytes(data, "big")
    if size > MAX_BYTES:
        raise ValueError(f"a message of {size} bytes is longer than any")
    return size


def read(receive: Callable[[int], bytes]) -> dict[str, Any] | None:
    """Return the next message; None at the end of the stream.

    Args:
        receive: Returns as many bytes as asked for, fewer only at the end.
    """
    head = receive(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    size = length(head)
    data = receive(size)
    return decode(data) if len(data) == size else None


def lease_fact(lease: Lease) -> Fact:
    """Return a lease as messages have it."""
    return [
        lease.token,
        lease.job,
        lease.shard,
        lease.action_digest,
        lease.file,
        lease.first_row,
        lease.rows,
        lease.input_digest,
    ]


def lease(said: list[Any]) -> Lease:
    """Return the lease of a message."""
    return Lease(*said)


def paths_fact(files: Mapping[str, str]) -> Fact:
    """Return a version's files as messages have them: where each is on this machine, by its path in the manifest."""
    return dict(files)
