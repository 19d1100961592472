"""What nodes say of themselves, as frozen values: hello, reports and figures.

Times are milliseconds since 1970 by the clock of whoever is named, sizes are bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping  # noqa: TC003 - readers of the fields see the type
from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """What became of a state, by its name in what is kept."""

    APPLIED = "applied"
    REFUSED = "refused"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Override:
    """An alias that somebody moved on the node itself."""

    model: str
    alias: str
    version: int
    alias_revision: int
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """A node's figures since its process began, and what it holds; the contract describes each."""

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
    overrides: tuple[Override, ...] = ()
    failures: tuple[str, ...] = ()
    lost_reports: int = 0


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a node is and what it holds.

    `epoch_ms` is the start of its process, `event_hash` that of the event of the revision that it applied.
    """

    node: str
    labels: Mapping[str, str]
    applied_revision: int
    state_digest: bytes
    id_key: bytes
    epoch_ms: int = 0
    endpoint: str = ""
    event_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the state of a revision, and how the node is; `outcome` is None where only figures are told."""

    outcome: Outcome | None
    revision: int
    state_digest: bytes
    reason: str = ""
    figures: Figures = Figures()


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it was last heard.

    Attributes:
        hello_ms: When it last said hello, by the registry's clock.
        applied_revision: Highest revision that it said to have applied.
        state_digest: What it last said to hold.
        outcome: Of its last report of a state; None before the first.
        reason: Why that was not APPLIED.
        desired_digest: Digest of what it is to hold.
        desired_revision: Revision since which it is that.
    """

    name: str
    labels: Mapping[str, str]
    hello_ms: int
    epoch_ms: int = 0
    endpoint: str = ""
    applied_revision: int = 0
    state_digest: bytes = b""
    outcome: Outcome | None = None
    reason: str = ""
    figures: Figures = Figures()
    desired_digest: bytes = b""
    desired_revision: int = 0

    @property
    def applied(self) -> bool:
        """True when it holds what it is to hold, and said that it applied it."""
        return self.outcome is Outcome.APPLIED and self.state_digest == self.desired_digest

    @property
    def converged(self) -> bool:
        """True when it has applied its state and nobody set an alias aside on it."""
        return self.applied and not self.figures.overrides

    @property
    def healthy(self) -> bool:
        """True when it has applied its state and every version of it could be loaded."""
        return self.applied and not self.figures.failures

    def greeted(self, hello: Hello, time_ms: int) -> Node:
        """Return the node after a hello; a process that began since has not said yet what it can load."""
        return dataclasses.replace(
            self,
            outcome=self.outcome if hello.epoch_ms == self.epoch_ms else None,
            labels=dict(hello.labels),
            hello_ms=time_ms,
            epoch_ms=hello.epoch_ms,
            endpoint=hello.endpoint,
            applied_revision=hello.applied_revision,
            state_digest=hello.state_digest,
        )

    def reported(self, report: Report) -> Node:
        """Return the node after a report."""
        applied = report.outcome is Outcome.APPLIED
        told = report.outcome is not None
        return dataclasses.replace(
            self,
            applied_revision=max(self.applied_revision, report.revision) if applied else self.applied_revision,
            state_digest=report.state_digest or self.state_digest,
            outcome=report.outcome or self.outcome,
            reason=("" if applied else report.reason) if told else self.reason,
            figures=report.figures,
        )
