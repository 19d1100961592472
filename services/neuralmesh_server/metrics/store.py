"""What the domain asks of a store. Implementations are in store_*.py; only app.py chooses one.

All changes that one piece of work makes are committed together or not at all, and are committed when `write` returns:
they survive a kill of the process. Reads see one committed state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuralmesh_server.metrics.records import (
        Epoch,
        LoadedVersion,
        ReportedPrediction,
        StoredPrediction,
        Tallies,
        VersionDelta,
        VersionTotals,
    )
    from neuralmesh_server.metrics.rollouts import AliasTotals, LoggedStep, Step, StepDelta, StepTotals

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept to join outcomes and judge rollouts; the oldest go first, a batch at a time after a commit.

    Up to one batch more than the limits may be stored. An outcome for a prediction that has gone stays pending until it
    goes in its turn.
    """

    predictions: int = 1_000_000
    prediction_bytes: int = 512 * 1024 * 1024
    pending: int = 100_000
    pending_bytes: int = 64 * 1024 * 1024
    rollout_log: int = 1_000_000
    rollout_log_bytes: int = 256 * 1024 * 1024
    batch: int = 10_000


class View(Protocol):
    """One committed state."""

    def epoch(self, node: str, epoch: int) -> Epoch | None:
        """Return one epoch of a node."""

    def newest_epoch(self, node: str) -> int | None:
        """Return the number of a node's newest epoch."""

    def epochs(self) -> list[Epoch]:
        """Return all epochs in order of node and epoch."""

    def loaded(self) -> dict[str, tuple[LoadedVersion, ...]]:
        """Return what each node holds."""

    def prediction(self, prediction_id: str) -> StoredPrediction | None:
        """Return a reported prediction."""

    def pending(self, prediction_id: str) -> bytes | None:
        """Return the labels of an outcome that waits for its prediction."""

    def version(self, model: str, version: int) -> VersionTotals | None:
        """Return the totals of one version."""

    def digest(self, model: str, version: int) -> str:
        """Return the digest of one version; empty while none was reported."""

    def versions(
        self, model: str = "", *, after: tuple[str, int] = ("", 0), limit: int | None = None
    ) -> list[VersionTotals]:
        """Return the totals of versions of one model, or of all, in order of (model, version), from behind `after`."""

    def rollouts(self, model: str, *, before: tuple[int, int] | None, limit: int) -> list[StepTotals]:
        """Return the totals of steps of rollouts, newest first, of one model or of all with an empty `model`.

        A page begins behind the step of (revision, number) `before`, None for the newest.
        """

    def rollout_sums(self) -> list[AliasTotals]:
        """Return the totals of each alias over all its steps, in order of model and alias."""

    def rollout_log(self, step: Step, *, after: int, limit: int) -> list[LoggedStep]:
        """Return the reports of a step in the order of arrival, from behind number `after`."""

    def tallies(self) -> Tallies:
        """Return the counts that belong to no version."""


class Ledger(View, Protocol):
    """A transaction that changes the state."""

    def put_epoch(self, epoch: Epoch) -> None:
        """Store an epoch in place of what was known of it."""

    def add_missing(self, node: str, epoch: int, first: int, last: int) -> None:
        """Note that the deltas `first` to `last` were skipped."""

    def take_missing(self, node: str, epoch: int, sequence: int) -> bool:
        """Say whether a delta was skipped, and forget that it was."""

    def put_loaded(self, node: str, loaded: Sequence[LoadedVersion]) -> None:
        """Replace what a node holds; versions not known before get totals of zero.

        A known version keeps its digest, and takes the size only from a report of that digest.
        """

    def add_counts(self, delta: VersionDelta, now_ms: int) -> None:
        """Add to a version's totals; the histogram takes the coarser scale of the two, at most 5.

        The digest is the one that was reported first; the caller has seen that it is the same.
        """

    def add_rollout(self, node: str, epoch: int, sequence: int, delta: StepDelta, now_ms: int) -> None:
        """Add to a step's totals, and keep the report under the delta that brought it."""

    def add_unresolved_errors(self, errors: Mapping[str, int]) -> None:
        """Count requests that failed before a version was resolved."""

    def add_predictions(self, predictions: Sequence[tuple[ReportedPrediction, bytes | None]]) -> None:
        """Keep predictions, each with its outcome if known; an id that is there already stays as it is."""

    def set_truth(self, prediction_id: str, truth: bytes) -> None:
        """Store the outcome of a prediction that has none."""

    def add_outcomes(self, model: str, version: int, rows: int, correct: int) -> None:
        """Count rows with a known outcome."""

    def add_pending(self, prediction_id: str, truth: bytes) -> None:
        """Keep an outcome until its prediction comes."""

    def has_pending(self) -> bool:
        """Say whether any outcome waits."""

    def take_pending(self, prediction_id: str) -> bytes | None:
        """Return an outcome that waits, and forget it."""

    def count_rejected_outcome(self) -> None:
        """Count a pending outcome that did not fit its prediction."""


class Store(Protocol):
    """Where the service keeps its counts."""

    async def write(self, work: Callable[[Ledger], T]) -> T:
        """Run work in a transaction and commit it; what it raises is raised here and nothing of it stays.

        Raises:
            ResourceExhaustedError: The disk is full.
            UnavailableError: The store is closed.
        """

    async def read(self, work: Callable[[View], T]) -> T:
        """Run work on one committed state, off the event loop.

        Raises:
            UnavailableError: The store is closed.
        """
