"""The line between an edge node and the registry, without a transport: what each side says.

`link_mesh` fulfils it over gRPC; tests may stand in others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from neuralmesh_server.inference.edge.desired import MeshStep


class RefusedError(Exception):
    """A state that this node does not apply.

    Attributes:
        revision: The revision that it was sent with; 0 where it had none.
    """

    def __init__(self, revision: int, why: str) -> None:
        super().__init__(why)
        self.revision = revision


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a node is and what it holds; `digest` is empty to ask for the whole; see Hello in the contract."""

    node: str
    labels: Mapping[str, str]
    applied_revision: int
    digest: bytes
    key: bytes
    epoch_ms: int
    endpoint: str
    event_hash: bytes = b""


class Outcome(IntEnum):
    """What became of a state, by the contract's numbers."""

    NOTHING = 0
    APPLIED = 1
    REFUSED = 2
    PENDING = 3


@dataclass(frozen=True, slots=True)
class LocalMove:
    """An alias that somebody moved on this node: another version answers until the registry moves the alias.

    Attributes:
        alias_revision: Revision of the registry's move that it stands against.
        against: SHA-256 of what the registry said of the alias and of the version, as they stand in the state digest.
            The revision alone does not tell: a registry that was set back to a backup gives its numbers again.
    """

    model: str
    alias: str
    version: int
    alias_revision: int
    against: str
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """A node's own figures since its process began, and what it holds; see NodeFigures in the contract."""

    cache_bytes: int = 0
    cache_limit_bytes: int = 0
    fetched_upstream_bytes: int = 0
    fetched_registry_bytes: int = 0
    forwarded: int = 0
    forward_failures: int = 0
    hedged: int = 0
    hedges_won: int = 0
    hedges_compared: int = 0
    hedges_different: int = 0
    overrides: tuple[LocalMove, ...] = ()
    failures: tuple[str, ...] = ()
    lost_reports: int = 0


class Counts(Protocol):
    """What went upward since the process began, by the names of the contract's NodeFigures."""

    forwarded: int
    forward_failures: int
    hedged: int
    hedges_won: int
    hedges_compared: int
    hedges_different: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the state of a revision; `digest` is that of the state that the node holds now."""

    outcome: Outcome
    revision: int
    digest: bytes
    reason: str = ""


class MeshSession(Protocol):
    """One open stream; every method raises LinkError."""

    async def read(self) -> MeshStep:
        """Return the next step; raises RefusedError for one that breaks the contract, and LinkError at the end."""

    async def report(self, verdict: Verdict, figures: Figures) -> None:
        """Say what became of a state, and how the node is."""

    async def finish(self) -> None:
        """Wait, not for long, until everything that was said has been taken."""


class MeshLink(Protocol):
    """How the registry is reached."""

    def open(self, hello: Hello) -> AbstractAsyncContextManager[MeshSession]:
        """Open a stream and say hello."""
