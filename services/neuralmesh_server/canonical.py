"""Canonical bytes: the one form of a fact that is hashed.

It is JSON with keys in order, without white space, in UTF-8, with integers as the only numbers: the part of RFC 8785
that needs no number formatting. Keys are ASCII, so code-point order and the RFC's UTF-16 order agree.
"""

from __future__ import annotations

import hashlib
import json
from typing import TypeAlias

Fact: TypeAlias = "bool | int | str | list[Fact] | dict[str, Fact] | None"
"""A value that has canonical bytes."""


def encode(fact: Fact) -> bytes:
    """Return the canonical bytes of a fact.

    Raises:
        TypeError: The fact holds a float, a key that is not ASCII text, or another type.
        ValueError: An integer is beyond 2^53 - 1, which JSON readers may round, or a string holds a lone surrogate.
    """
    _check(fact)
    return json.dumps(fact, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(fact: Fact) -> str:
    """Return `sha256:` and the hexadecimal SHA-256 of the canonical bytes."""
    return "sha256:" + hashlib.sha256(encode(fact)).hexdigest()


def leaf_hash(data: bytes) -> bytes:
    """Return the Merkle leaf hash of RFC 6962 section 2.1: SHA-256 of a zero byte and the data; 32 bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def _check(fact: Fact) -> None:
    if fact is None or isinstance(fact, (bool, str)):
        return
    if isinstance(fact, int):
        if abs(fact) > 2**53 - 1:
            raise ValueError(f"{fact} is not exact in every JSON reader")
    elif isinstance(fact, list):
        for item in fact:
            _check(item)
    elif isinstance(fact, dict):
        for key, value in fact.items():
            if not isinstance(key, str) or not key.isascii():
                raise TypeError(f"key {key!r} is not ASCII text")
            _check(value)
    else:
        raise TypeError(f"{type(fact).__name__} has no canonical form")
