"""How a rule writes: the next revision, its event, the state digest, and request ids that make repeats harmless."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, TypeVar

from neuralmesh_server import canonical
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.registry import documents, events
from neuralmesh_server.state_digest import StateDigest

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.registry.records import Change, Event, Model, Origin
    from neuralmesh_server.registry.store import Transaction

T = TypeVar("T")


def record(
    transaction: Transaction,
    time_ms: int,
    origin: Origin,
    change: Change,
    *,
    model: Model | None = None,
    add: Callable[[int], Fact] | None = None,
    remove: Fact = None,
) -> Event:
    """Append the event of a change and bring the state digest up to date.

    Args:
        transaction: Where.
        time_ms: When.
        origin: Who and why.
        change: What.
        model: The model that the change belongs to.
        add: Makes, from the new revision, the entry that joins the state; None adds nothing.
        remove: The entry that leaves the state; None takes nothing away.
    """
    revision = transaction.head().revision + 1
    event = events.make(revision, time_ms, origin.actor, origin.reason, change)
    state = StateDigest(transaction.accumulator())
    if remove is not None:
        state.remove(remove)
    if add is not None:
        state.add(add(revision))
    transaction.append(event, state.accumulator(), state.value(), model)
    return event


@dataclasses.dataclass(frozen=True, slots=True)
class Repeatable:
    """One kind of change that can be repeated: its name, and how its result is written down and read back."""

    method: str
    write: Callable[[Any], Fact]
    read: Callable[[dict[str, Any]], Any]

    def once(
        self,
        transaction: Transaction,
        time_ms: int,
        origin: Origin,
        arguments: Fact,
        rule: Callable[[], T],
    ) -> T:
        """Run a rule, or return what it gave when the same request ran before.

        Raises:
            InvalidArgumentError: REQUEST_ID_REUSED.
        """
        if not origin.request_id:
            return rule()
        fingerprint = canonical.digest(
            {
                "method": self.method,
                "arguments": arguments,
                "actor": documents.actor_fact(origin.actor),
                "reason": origin.reason,
            }
        )
        known = transaction.remembered(origin.request_id)
        if known is None:
            result = rule()
            transaction.remember(origin.request_id, fingerprint, canonical.encode(self.write(result)), time_ms)
            return result
        if known[0] != fingerprint:
            raise InvalidArgumentError(
                "REQUEST_ID_REUSED",
                f"request id {origin.request_id!a} was used before for another request",
                requestId=origin.request_id,
            )
        before: T = self.read(json.loads(known[1]))
        return before
