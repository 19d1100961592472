"""Keeps undelivered telemetry over a kill: a few deltas, as bytes, in one file that is replaced whole.

It is not flushed to the disk: a kill of the process loses nothing of it, a power failure may. It knows
no delta's content.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = structlog.get_logger()

_LENGTH = struct.Struct(">I")


class TelemetrySpool:
    """The file `telemetry.spool` of a node's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "telemetry.spool"

    def load(self) -> list[bytes]:
        """Return the deltas that were kept, oldest first."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        deltas = []
        while content:
            if len(content) < _LENGTH.size or len(content) - _LENGTH.size < _LENGTH.unpack_from(content)[0]:
                log.error("telemetry_spool_damaged", path=str(self._path), bytes_left=len(content))
                break
            end = _LENGTH.size + _LENGTH.unpack_from(content)[0]
            deltas.append(content[_LENGTH.size : end])
            content = content[end:]
        return deltas

    def save(self, deltas: Sequence[bytes]) -> None:
        """Replace what is kept; raises OSError."""
        beside = self._path.with_suffix(".tmp")
        beside.write_bytes(b"".join(_LENGTH.pack(len(delta)) + delta for delta in deltas))
        beside.replace(self._path)

    def clear(self) -> None:
        """Keep nothing."""
        self._path.unlink(missing_ok=True)
