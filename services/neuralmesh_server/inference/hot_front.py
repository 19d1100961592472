"""A front beside the loop: what answers plain requests in a thread of its own, with blocks that only it writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from liam_core import oip

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager


class Front(Protocol):
    """What answers plain requests in a thread of its own, which never waits for the interpreter."""

    def serve(self, codec: oip.Codec, table: oip.Table, holding: object) -> None:
        """Answer with these from now on, and keep them and what is `holding` for as long as they are in use.

        That may be longer than until the next call of this, where a run goes on.
        """

    def held(self) -> AbstractContextManager[None]:
        """Hold the thread off, between two requests: nothing that its codec writes changes. Not to be nested."""


@dataclass(slots=True)
class Attached:
    """A front, and what it writes and reads."""

    front: Front
    codec: oip.Codec
    receipts: oip.Receipts
    table: oip.Table = field(default_factory=lambda: oip.Table({}))

    def serve(
        self,
        routes: Mapping[tuple[str, str], oip.Route],
        stats: Mapping[int, oip.Stats],
        scratch_bytes: int,
        holding: object,
    ) -> None:
        """Have the front follow, counting in each owner's `stats` there, and keep `holding` for as long as it does."""
        if self.codec.scratch_bytes < scratch_bytes:
            with self.front.held():
                self.codec.reserve(scratch_bytes)
        counted: dict[int, oip.Route] = {}
        for route in routes.values():
            if route.owner not in counted:
                counted[route.owner] = route.counted_in(stats[route.owner])
        table = oip.Table({key: counted[route.owner] for key, route in routes.items()})
        self.front.serve(self.codec, table, holding)
        self.table = table
