"""What went upward since the process began, by the names under which a node reports it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """See NodeFigures in the contract; belongs to the loop.

    Attributes:
        forwarded: Calls passed upward because they could not be served here.
        forward_failures: Those of them that failed there.
        hedged: Calls sent upward beside a run here.
        hedges_won: Those of them that the upstream answered first.
        hedges_compared: Hedged calls whose two answers were compared.
        hedges_different: Those of them whose answers were not the same.
    """

    forwarded: int = 0
    forward_failures: int = 0
    hedged: int = 0
    hedges_won: int = 0
    hedges_compared: int = 0
    hedges_different: int = 0
