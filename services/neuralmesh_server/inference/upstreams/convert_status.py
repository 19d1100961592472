"""From a status as a server sent it to the error of a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh.exceptions import error_info
from neuralmesh_server.inference.upstreams.link import UpstreamError
from neuralmesh_server.runtime.status import PUSHBACK_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

_PUSHBACK_DIGITS = 9


def upstream_error(
    code: str, message: str, trailers: Sequence[tuple[str, str | bytes]], *, sent: bool
) -> UpstreamError:
    """Return the error of a call that failed; values of names in -bin are bytes."""
    info = error_info(trailers)
    return UpstreamError(
        code,
        message or "no reason given",
        reason=info.reason if info else "",
        sent=sent,
        retry_seconds=next((_seconds(str(value)) for key, value in trailers if key == PUSHBACK_KEY), None),
    )


def _seconds(pushback: str) -> float | None:
    # A negative number says "not at all", which is said by the lack of a hint as well.
    return int(pushback) / 1000 if pushback.isdecimal() and len(pushback) < _PUSHBACK_DIGITS else None
