"""How long the labor array waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in seconds.

    Attributes:
        lease_seconds: A lease holds so long without being renewed.
        silent_seconds: A worker without leases that has not been heard for so long is gone.
        patience_seconds: How long a second run waits for a worker that has not run the shard, once there is nothing
            else to do and others live: then a dispute ends the job, and workers audit themselves.
        tick_seconds: How often all this is looked at.
    """

    lease_seconds: float = 10.0
    silent_seconds: float = 45.0
    patience_seconds: float = 10.0
    tick_seconds: float = 0.25
