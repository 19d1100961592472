"""What the service counts of itself since it started, for operators."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Figures:
    """Counts since the start.

    Attributes:
        computed: Shards whose result a worker gave.
        cached: Shards whose result was in the cache.
        confirmed: Results that a second run gave again.
        leases: Leases that were given.
        lost: Leases that ended before their work did.
        failures: Shards that a worker could not run.
    """

    computed: int = 0
    cached: int = 0
    confirmed: int = 0
    leases: int = 0
    lost: int = 0
    failures: int = 0
