"""What checks of requests have in common: ranges, sizes, and the error that names the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sized

MAX_COUNT = 2**40
"""Largest count in one delta; 2^23 such deltas still add up within 64 bits."""


def at_most(field: str, entries: Sized, limit: int) -> None:
    """Raise FIELD_INVALID when a field has more entries than it may."""
    count = len(entries)
    if count > limit:
        raise field_invalid(field, f"{count} entries are more than {limit}")


def within(field: str, value: int, low: int, high: int) -> None:
    """Raise FIELD_INVALID when a value is out of its range."""
    if not low <= value <= high:
        raise field_invalid(field, f"{value} is not from {low} to {high}")


def field_invalid(field: str, why: str) -> InvalidArgumentError:
    """Return the error for a field."""
    return InvalidArgumentError("FIELD_INVALID", f"field {field}: {why}", field=field, why=why)
