"""The parts of an alias's move as people say them: shares as fractions, sticky keys as `source:key`.

The registry checks them; here they are only put into the contract's messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh.registry.v1 import resources_pb2 as resources

if TYPE_CHECKING:
    from collections.abc import Sequence

MILLION = 1_000_000

_SOURCES = {
    "parameter": resources.StickyKey.SOURCE_PARAMETER,
    "metadata": resources.StickyKey.SOURCE_METADATA,
    "id": resources.StickyKey.SOURCE_REQUEST_ID,
}
_NAMES = {number: name for name, number in _SOURCES.items()}


def parts_per_million(share: float) -> int:
    """Return a share from 0 to 1 in parts per million; raises ValueError for another number."""
    if not 0 <= share <= 1:
        raise ValueError(f"a share goes from 0 to 1, not {share}")
    return round(share * MILLION)


def canary(version: int, share: float) -> resources.Canary:
    """Return a canary that answers a share, from 0 to 1, of the units."""
    return resources.Canary(version=version, share_ppm=parts_per_million(share))


def shadow(version: int, share: float = 1.0) -> resources.Shadow:
    """Return a shadow that gets copies of a share, from 0 to 1, of the requests."""
    return resources.Shadow(version=version, share_ppm=parts_per_million(share))


def sticky_key(text: str) -> resources.StickyKey:
    """Return the sticky key of `parameter:NAME`, `metadata:NAME` or `id`; raises ValueError for anything else."""
    source, _, key = text.partition(":")
    if source not in _SOURCES or (source == "id") == bool(key):
        raise ValueError(f"a sticky key is parameter:NAME, metadata:NAME or id, not {text!r}")
    return resources.StickyKey(source=_SOURCES[source], key=key)


def waves(shares: Sequence[float], hold_seconds: int = 0) -> resources.WavePlan:
    """Return a plan of cumulative shares of the edge nodes, from 0 to 1, each healthy for so long before the next.

    The last share is 1 where it is not given.
    """
    parts = [parts_per_million(share) for share in shares]
    if not parts or parts[-1] != MILLION:
        parts.append(MILLION)
    return resources.WavePlan(shares_ppm=parts, hold_seconds=hold_seconds)


def sticky_text(sticky: resources.StickyKey) -> str:
    """Return the text that `sticky_key` reads."""
    source = _NAMES.get(sticky.source, "id")
    return f"{source}:{sticky.key}" if sticky.key else source
