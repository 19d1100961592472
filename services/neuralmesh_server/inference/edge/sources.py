"""Where an edge node's artifacts come from: the node further up the line first, then the registry.

A download that one source breaks off goes on at the next one where it stopped. A source that gave wrong bytes of an
artifact is not asked for it again, unless there is no other.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.inference.holding.artifacts import steadily
from neuralmesh_server.inference.links import LinkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh_server.inference.holding.artifacts import Source

log = structlog.get_logger()

STALL_SECONDS = 3.0
"""The longest that a source which is not the last may bring nothing."""
AVOID_SECONDS = 10.0
"""How long a source is not asked after it could not be reached."""


class Sources:
    """Belongs to the loop.

    Args:
        upstream: The node further up the line, None for none.
        registry: The registry.

    Attributes:
        upstream_bytes: Bytes that came from the node up the line; `registry_bytes` from the registry.
    """

    def __init__(self, upstream: Source | None, registry: Source) -> None:
        self._upstream = upstream
        self._registry = registry
        self._mistaken: set[str] = set()
        self._begun: set[str] = set()
        self._avoid_until = 0.0
        self.upstream_bytes = 0
        self.registry_bytes = 0

    async def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """Yield an artifact's bytes from an offset on."""
        if self._upstream is not None and self._may_ask(digest):
            try:
                async for piece in steadily(self._upstream.download(digest, offset), digest, STALL_SECONDS):
                    self._begun.add(digest)
                    self.upstream_bytes += len(piece)
                    offset += len(piece)
                    yield piece
            except LinkError as error:
                log.info("upstream_without_artifact", digest=digest, offset=offset, why=str(error))
                if error.unreachable:
                    self._avoid_until = asyncio.get_running_loop().time() + AVOID_SECONDS
            else:
                return
        async for piece in self._registry.download(digest, offset):
            self.registry_bytes += len(piece)
            yield piece

    def mistaken(self, digest: str) -> bool:
        """Take note that what came was not the artifact; returns whether another source may give it."""
        other = digest in self._begun and digest not in self._mistaken
        self._begun.discard(digest)
        if other:
            self._mistaken.add(digest)
            log.warning("upstream_gave_wrong_bytes", digest=digest)
        return other

    def _may_ask(self, digest: str) -> bool:
        return digest not in self._mistaken and asyncio.get_running_loop().time() >= self._avoid_until
