"""Which slot each shard is meant for: a function of frozen costs and of the log of live slots, and of nothing else.

The first slots share all shards, longest processing time first (Graham 1969: the slowest slot has at most 4/3 - 1/(3m)
of the least possible load of m slots). When slots change, only shards whose slot is gone move, each to the slot that
wins its rendezvous hash (Thaler and Ravishankar 1998); a new slot gets shards only that way. Placement is advice: a
worker that has nothing left takes the largest shard of the most loaded slot, so that nobody starves, and what bytes
come out never depends on it.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOWHERE = -1
"""Slot of a shard that has none."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """A time with the same live slots.

    Attributes:
        number: From 1.
        slots: Names of the slots, `worker/slot`, in byte order; at least one.
        pending: Shards without a result when it began, ascending.
        assigned: Slot of each of them, as an index into `slots`.
    """

    number: int
    slots: tuple[str, ...]
    pending: tuple[int, ...]
    assigned: tuple[int, ...]


def longest_first(costs: Sequence[int], actions: Sequence[str]) -> list[int]:
    """Return all shards, the most costly first; ties by the digest of the action, then by number."""
    return sorted(range(len(costs)), key=lambda shard: (-costs[shard], actions[shard], shard))


def share(order: Iterable[int], costs: Sequence[int], slots: int) -> dict[int, int]:
    """Give each shard in turn to the slot with the least load, the first of equals; returns slots by shard."""
    loads = [(0, slot) for slot in range(slots)]
    given: dict[int, int] = {}
    for shard in order:
        load, slot = loads[0]
        given[shard] = slot
        heapq.heapreplace(loads, (load + costs[shard], slot))
    return given


def rendezvous(action: str, slots: Sequence[str]) -> int:
    """Return the index of the slot whose hash with the action is the highest."""
    key = action.encode()
    hashes = [hashlib.blake2b(slot.encode() + b"\0" + key, digest_size=16).digest() for slot in slots]
    return hashes.index(max(hashes))


def place(
    order: Sequence[int],
    costs: Sequence[int],
    actions: Sequence[str],
    *,
    slots: Sequence[str],
    pending: Sequence[int],
    before: Epoch | None,
) -> Epoch:
    """Return the epoch that begins with these slots.

    Args:
        order: As `longest_first` gives it.
        costs: Of every shard.
        actions: Digest of every shard's action.
        slots: The live slots in byte order, at least one.
        pending: Shards without a result, ascending.
        before: The epoch that ends; None for the first one.
    """
    if before is None:
        wanted = set(pending)
        given = share((shard for shard in order if shard in wanted), costs, len(slots))
        return Epoch(1, tuple(slots), tuple(pending), tuple(given[shard] for shard in pending))
    index = {name: number for number, name in enumerate(slots)}
    moved = [index.get(name, NOWHERE) for name in before.slots]
    kept = {shard: moved[slot] for shard, slot in zip(before.pending, before.assigned, strict=True)}
    assigned = []
    for shard in pending:
        slot = kept.get(shard, NOWHERE)
        assigned.append(rendezvous(actions[shard], slots) if slot == NOWHERE else slot)
    return Epoch(before.number + 1, tuple(slots), tuple(pending), tuple(assigned))


def replay(
    costs: Sequence[int], actions: Sequence[str], log: Iterable[tuple[Sequence[str], Sequence[int]]]
) -> list[Epoch]:
    """Return the epochs that follow from a log of live slots and pending shards."""
    order = longest_first(costs, actions)
    epochs: list[Epoch] = []
    for slots, pending in log:
        epochs.append(place(order, costs, actions, slots=slots, pending=pending, before=epochs[-1] if epochs else None))
    return epochs
