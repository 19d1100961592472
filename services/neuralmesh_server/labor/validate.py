"""Checks of requests that the domain does not make itself: names, sizes and pages. Each failure names the field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from neuralmesh_server import names
from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

MAX_PAGE, DEFAULT_PAGE = 1000, 100
MAX_LEASES = 64
MAX_SLOTS = 1024
MAX_WAIT_SECONDS = 30.0
MAX_TOKENS = 4096
MAX_PIECE_BYTES = 1024 * 1024
LINE_BYTES = 256
MESSAGE_BYTES = 16 * 1024

_JOB = re.compile(r"jobs/([0-9a-f]{16})", re.ASCII)


def job(name: str, field: str = "name") -> str:
    """Return the identifier of a job's name."""
    found = _JOB.fullmatch(name)
    if found is None:
        raise invalid(field, f"is {name[:80]!r}; it has to be jobs/ and 16 hexadecimal digits")
    return found[1]


def page_size(size: int) -> int:
    """Return how many entries a page may have."""
    if size < 0:
        raise invalid("page_size", f"is {size}; it must not be negative")
    return min(size, MAX_PAGE) or DEFAULT_PAGE


def page_start(token: str) -> int:
    """Return the position of a page token; 0 for none."""
    if not token:
        return 0
    if not re.fullmatch("[1-9][0-9]{0,14}", token, re.ASCII):
        raise InvalidArgumentError("PAGE_TOKEN_INVALID", "the page token was not issued by ListJobs", call="ListJobs")
    return int(token)


def at_least(field: str, value: int, least: int) -> int:
    """Return a number that is not too small."""
    if value < least:
        raise invalid(field, f"is {value}; it has to be at least {least}")
    return value


def worker(request: Any) -> None:
    """Check who asks for work."""
    if not names.NODE.fullmatch(request.worker):
        raise invalid("worker", f"is {request.worker[:80]!r}; it has to match [a-z][a-z0-9-]{{0,62}}")
    line("incarnation", request.incarnation)
    if not request.incarnation:
        raise invalid("incarnation", "is missing")


def lease(request: Any) -> float:
    """Check a LeaseShardsRequest; returns how long it waits in seconds."""
    worker(request)
    line("host", request.host)
    within("slots", request.slots, 1, MAX_SLOTS)
    within("limit", request.limit, 1, MAX_LEASES)
    for kind, numerics in request.numerics.items():
        names.check_kind(kind)
        line(f"numerics[{kind!r}]", numerics, 1024)
    return seconds("wait", request.wait, MAX_WAIT_SECONDS)


def seconds(field: str, duration: Duration, most: float) -> float:
    """Return a duration in seconds."""
    value = float(duration.seconds + duration.nanos / 1e9)
    if not 0 <= value <= most:
        raise invalid(field, f"is {value} seconds; it has to be 0 to {most:g}")
    return value


def within(field: str, value: int, low: int, high: int) -> None:
    """Check a number."""
    if not low <= value <= high:
        raise invalid(field, f"is {value}; it has to be {low} to {high}")


def line(field: str, value: str, most: int = LINE_BYTES) -> str:
    """Return a text of one line."""
    if len(value.encode()) > most:
        raise invalid(field, f"has {len(value.encode())} bytes; at most {most} are permitted")
    if not value.isprintable():
        raise invalid(field, "has characters that cannot be printed")
    return value


def invalid(field: str, why: str) -> InvalidArgumentError:
    """Return the error of a field."""
    return InvalidArgumentError("FIELD_INVALID", f"{field} {why}", field=field)
