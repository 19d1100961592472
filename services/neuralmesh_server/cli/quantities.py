"""Shares, durations and sizes as people write them on the command line: `10%`, `2ms`, `256M`."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from neuralmesh_server.errors import InvalidArgumentError

MILLION = 1_000_000

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]+)", re.ASCII)
_MICROSECONDS = {
    "us": 1,
    "ms": 1000,
    "s": MILLION,
    "m": 60 * MILLION,
    "h": 3600 * MILLION,
    "d": 24 * 3600 * MILLION,
}
_BYTES = {
    unit + suffix: 1024**power
    for power, unit in enumerate(("", "K", "M", "G", "T"))
    for suffix in ("", "B", "iB")
    if unit or suffix == "B"
}


def parts_per_million(option: str, text: str) -> int:
    """Return a share such as `10%` or `0.05%` in parts per million; at most 100 %."""
    found = _number(text.removesuffix("%")) if text.endswith("%") else None
    parts = None if found is None else found * 10_000
    if parts is None or parts > MILLION or parts != int(parts):
        raise _invalid(option, text, "a share from 0% to 100%, in steps of 0.0001%")
    return int(parts)


def ratio_ppm(option: str, text: str) -> int:
    """Return a ratio such as `1.5` in parts per million."""
    found = _number(text)
    if found is None or found * MILLION != int(found * MILLION) or found > 4000:
        raise _invalid(option, text, "a ratio such as 1.5, at most 4000")
    return int(found * MILLION)


def microseconds(option: str, text: str) -> int:
    """Return a duration such as `2ms`, `30s` or `7d` in microseconds."""
    match = _AMOUNT.fullmatch(text)
    if match is None or match[2] not in _MICROSECONDS:
        raise _invalid(option, text, "a duration such as 500us, 2ms, 30s, 10m, 12h or 7d")
    found = Decimal(match[1]) * _MICROSECONDS[match[2]]
    if found != int(found):
        raise _invalid(option, text, "a whole number of microseconds")
    return int(found)


def milliseconds(option: str, text: str) -> int:
    """Return a duration in milliseconds."""
    return _whole(option, text, microseconds(option, text), 1000, "milliseconds")


def seconds(option: str, text: str) -> int:
    """Return a duration in seconds."""
    return _whole(option, text, microseconds(option, text), MILLION, "seconds")


def size(option: str, text: str) -> int:
    """Return a size such as `256M` in bytes; K, M, G and T are powers of 1024."""
    if text.isascii() and text.isdigit():
        return int(text)
    match = _AMOUNT.fullmatch(text)
    if match is None or match[2] not in _BYTES:
        raise _invalid(option, text, "a size such as 512K, 256M or 2G")
    return int(Decimal(match[1]) * _BYTES[match[2]])


def share_text(parts: int) -> str:
    """Return parts per million as a percentage, without loss."""
    return f"{parts / 10_000:.6g}%"


def duration_text(count: int, unit: str) -> str:
    """Return a whole number of `us`, `ms` or `s` in the largest unit that divides it."""
    total = count * _MICROSECONDS[unit]
    for name, length in reversed(_MICROSECONDS.items()):
        if total and total % length == 0:
            return f"{total // length} {name}"
    return f"0 {unit}"


def _whole(option: str, text: str, value: int, unit: int, name: str) -> int:
    if value % unit:
        raise _invalid(option, text, f"a whole number of {name}")
    return value // unit


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and found >= 0 else None


def _invalid(option: str, text: str, wanted: str) -> InvalidArgumentError:
    return InvalidArgumentError("FIELD_INVALID", f"{option} is {text!a}, not {wanted}", field=option, value=ascii(text))
