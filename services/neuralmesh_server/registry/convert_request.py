"""What requests of the registry's services share: who asks and why, and pages of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from neuralmesh_server.registry import paging, validate
from neuralmesh_server.registry.records import Actor, Origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.runtime.handlers import Call

T = TypeVar("T")
P = TypeVar("P", str, int)


def origin(request: Any, call: Call) -> Origin:
    """Return where a change comes from."""
    claimed = validate.line("actor", request.actor, validate.ACTOR_BYTES)
    reason = validate.text("reason", request.reason, validate.REASON_BYTES)
    request_id = validate.line("request_id", request.request_id, validate.REQUEST_ID_BYTES)
    return Origin(actor(claimed, call), reason, request_id)


def actor(claimed: str, call: Call) -> Actor:
    """Return who calls: whoever was proved, for whom that is claimed, or else whoever is claimed."""
    identity = call.identity
    if identity is not None:
        return Actor(identity, authenticated=True, on_behalf_of=claimed)
    return Actor(claimed or "anonymous")


async def page(
    request: Any,
    call: str,
    arguments: Fact,
    *,
    first: P,
    fetch: Callable[[P, int], Awaitable[list[T]]],
    position: Callable[[T], P],
) -> tuple[list[T], str]:
    """Return a page and the token of the next; a page may hold less than asked, and the last has no token."""
    limit = validate.page_size(request.page_size)
    found = await fetch(paging.read(request.page_token, call, arguments, first), limit)
    if not found:
        return found, ""
    last = position(found[-1])
    more = await fetch(last, 1)
    return found, paging.issue(call, arguments, last) if more else ""
