"""Compressed requests: gzip and deflate, as gRPC names them, never beyond the largest message."""

from __future__ import annotations

import zlib

from neuralmesh_server.errors import InvalidArgumentError, NotSupportedError, ResourceExhaustedError
from neuralmesh_server.runtime.transport import MAX_MESSAGE_BYTES

_WINDOWS = {"gzip": 31, "deflate": 15}
"""How zlib is told what to expect."""


def decompress(message: bytes, encoding: str) -> bytes:
    """Return a message as it was before it was compressed.

    Raises:
        InvalidArgumentError: REQUEST_MALFORMED.
        NotSupportedError: NOT_SUPPORTED, an encoding of another name.
        ResourceExhaustedError: LIMIT_EXCEEDED, it is larger than a message may be.
    """
    window = _WINDOWS.get(encoding)
    if window is None:
        shown = ascii(encoding[:40])
        raise NotSupportedError(
            "NOT_SUPPORTED", f"requests are compressed by gzip or deflate here, not {shown}", feature=shown
        )
    stream = zlib.decompressobj(window)
    try:
        found = stream.decompress(message, MAX_MESSAGE_BYTES + 1)
    except zlib.error:
        raise _malformed(encoding) from None
    if len(found) > MAX_MESSAGE_BYTES:
        raise ResourceExhaustedError(
            "LIMIT_EXCEEDED", f"the message has more than {MAX_MESSAGE_BYTES} bytes", limit=MAX_MESSAGE_BYTES
        )
    if not stream.eof or stream.unused_data:
        raise _malformed(encoding)
    return found


def _malformed(encoding: str) -> InvalidArgumentError:
    return InvalidArgumentError("REQUEST_MALFORMED", f"the message is not compressed by {encoding}", message=encoding)
