"""Joining true labels with predictions, each prediction at most once, whichever of the two comes first.

An outcome belongs to exactly one prediction by its whole id. Its labels must be as many as the prediction's rows and of
the type of its labels. An outcome that waited and then does not fit is dropped and counted as rejected, for its sender
has long been answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralmesh_server import prediction_id
from neuralmesh_server.errors import AlreadyExistsError, InvalidArgumentError
from neuralmesh_server.metrics import labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuralmesh_server.metrics.labels import Labels
    from neuralmesh_server.metrics.records import ReportedPrediction
    from neuralmesh_server.metrics.store import Ledger


@dataclass(frozen=True, slots=True)
class Joined:
    """An outcome that was counted for a version."""

    model: str
    version: int
    correct_rows: int


def record(ledger: Ledger, identifier: str, truth: Labels) -> Joined | None:
    """Record the true labels of one prediction; None while the prediction has not been reported.

    While it waits nothing is counted, so a later outcome replaces it: a wrong first one must not block the right one.

    Raises:
        InvalidArgumentError: PREDICTION_ID_INVALID: no node gives such ids. OUTCOME_INVALID: labels do not fit.
        AlreadyExistsError: OUTCOME_CONFLICT: other labels were counted for this prediction.
    """
    prediction_id.parse(identifier)
    encoded = labels.encode(truth)
    stored = ledger.prediction(identifier)
    if stored is None:
        waiting = ledger.pending(identifier)
        if waiting != encoded:
            ledger.take_pending(identifier)
            ledger.add_pending(identifier, encoded)
        return None
    predicted = labels.decode(stored.labels)
    misfit = _misfit(predicted, truth)
    if misfit:
        raise InvalidArgumentError(
            "OUTCOME_INVALID",
            f"the outcome does not fit prediction {identifier}: {misfit}",
            id=identifier,
            misfit=misfit,
        )
    correct = labels.agreements(predicted, truth)
    if stored.truth is None:
        ledger.set_truth(identifier, encoded)
        ledger.add_outcomes(stored.model, stored.version, len(truth), correct)
    elif stored.truth != encoded:
        raise _conflict(identifier)
    return Joined(stored.model, stored.version, correct)


def join(ledger: Ledger, predictions: Iterable[ReportedPrediction]) -> None:
    """Keep reported predictions, and count the outcomes that waited for them."""
    waiting = ledger.has_pending()
    kept: list[tuple[ReportedPrediction, bytes | None]] = []
    for prediction in predictions:
        encoded = ledger.take_pending(prediction.id) if waiting else None
        if encoded is not None:
            truth = labels.decode(encoded)
            if _misfit(prediction.labels, truth):
                ledger.count_rejected_outcome()
                encoded = None
            else:
                correct = labels.agreements(prediction.labels, truth)
                ledger.add_outcomes(prediction.model, prediction.version, len(truth), correct)
        kept.append((prediction, encoded))
    ledger.add_predictions(kept)


def _misfit(predicted: Labels, truth: Labels) -> str:
    """Say why labels do not fit a prediction; empty when they do."""
    if len(predicted) != len(truth):
        return f"it has {len(truth)} labels and the prediction has {len(predicted)} rows"
    if labels.kind(predicted) != labels.kind(truth):
        return f"its labels are {labels.kind(truth)} and the prediction's are {labels.kind(predicted)}"
    return ""


def _conflict(identifier: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        "OUTCOME_CONFLICT", f"other labels were counted for prediction {identifier}", id=identifier
    )
