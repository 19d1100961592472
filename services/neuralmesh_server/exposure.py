"""What a move of an alias exposes more than before: the rule that says which versions a protected alias wants proved.

The registry refuses by it and `neuralmesh promote --prove` chooses by it, so that they never differ. It knows neither
messages nor records.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exposure:
    """Which versions of an alias meet requests.

    Attributes:
        version: The stable version.
        canary: The canary's version, 0 for none.
        canary_ppm: The canary's share in parts per million.
        shadow: The shadow's version, 0 for none.
    """

    version: int
    canary: int = 0
    canary_ppm: int = 0
    shadow: int = 0


def brought_in(before: Exposure, after: Exposure) -> list[int]:
    """Return the versions that a move exposes more than before.

    They are a new stable version, a canary that is new or gets a larger share, and a shadow that is new.
    """
    found = [after.version] if after.version != before.version else []
    if after.canary and after.canary not in {before.version, *found}:
        known = before.canary_ppm if before.canary == after.canary else 0
        if after.canary_ppm > known:
            found.append(after.canary)
    if after.shadow and after.shadow not in {before.version, before.canary, before.shadow, *found}:
        found.append(after.shadow)
    return found
