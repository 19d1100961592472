"""Page tokens: where a list goes on, bound to the call and its arguments.

A token holds its position and a checksum over call, arguments and position. It guards against mistakes, such as a token
of another list, and not against forgery: a position gives away nothing that the list would not.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING, TypeVar

from neuralmesh_server import canonical
from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from neuralmesh_server.canonical import Fact

P = TypeVar("P", str, int)

_CHECK_BYTES = 8
_LONGEST = 512


def issue(call: str, arguments: Fact, position: str | int) -> str:
    """Return the token of the page after `position`."""
    data = _check(call, arguments, position) + canonical.encode(position)
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def read(token: str, call: str, arguments: Fact, first: P) -> P:
    """Return the position of a token; an empty token stands for `first`.

    Raises:
        InvalidArgumentError: PAGE_TOKEN_INVALID.
    """
    if not token:
        return first
    if len(token) > _LONGEST:
        raise _invalid(call)
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        position = json.loads(data[_CHECK_BYTES:])
    except (binascii.Error, ValueError):
        raise _invalid(call) from None
    if type(position) is not type(first) or data[:_CHECK_BYTES] != _check(call, arguments, position):
        raise _invalid(call)
    known: P = position
    return known


def _check(call: str, arguments: Fact, position: str | int) -> bytes:
    try:
        text = canonical.encode([call, arguments, position])
    except ValueError:
        raise _invalid(call) from None
    return hashlib.blake2s(text, digest_size=_CHECK_BYTES, person=b"nm-page").digest()


def _invalid(call: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "PAGE_TOKEN_INVALID", f"the page token was not issued by {call} for these arguments", call=call
    )
