"""Tallies: what an evaluation or comparison counts of a shard, in integers, so that shards add up in any order.

A tally is a fact, as it stands in the result of an action:

    evaluate  {"bins": [[rows, correct, confidence], ... 15 of them], "pairs": [[true, predicted, rows], ...]}
    compare   {"identical", "outputs": [[name, identical rows, largest, sum, values, not finite], ...],
               "pairs": [[baseline's label, label, rows], ...], "rows"}

Labels are text. `confidence` and `sum` are decimal integers in units of 2^-32, as strings, since they may be beyond
what JSON readers keep; `largest` is the shortest decimal that reads back as the same float64. Pairs are in order of
their labels, outputs of their names. Nothing here depends on how a sum is rounded: what is not counted is scaled to
integers first, value by value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server.labor import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from neuralmesh_server.canonical import Fact

BINS = 15
"""Bins of equal width that confidences from 0 to 1 fall into."""

SCALE = 2**32
"""Parts of 1 that sums are kept in."""

_LARGE = 2.0**20
"""Sums of values below this, scaled, fit 64 bits for as many rows as a shard can have."""

_UNCOUNTED = 2.0**900
"""Differences from here on count as not finite: scaled, they would be."""


def labels(values: NDArray[Any]) -> NDArray[np.str_]:
    """Return labels, one a row, as text: integers in decimal, bytes as UTF-8, other numbers as the shortest decimal.

    Numbers without a fraction are written as integers, so that 7 and 7.0 are one label.
    """
    known, where = np.unique(values.reshape(-1), return_inverse=True)
    texts = [_label(value) for value in known.tolist()]
    return np.array(texts, np.str_)[where] if texts else np.array([], np.str_)


def confidences(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return for each row of probabilities the largest, and NaN for a row that is no distribution.

    Args:
        probabilities: [rows, classes]; a row whose values lie in [0, 1] and sum to 1 within 1/1000 is a distribution.
    """
    values = np.asarray(probabilities, np.float64)
    values = values.reshape(len(values), math.prod(values.shape[1:]))
    with np.errstate(invalid="ignore"):
        inside = ((values >= 0) & (values <= 1)).all(axis=1)
    scaled = np.zeros(values.shape, np.int64)
    scaled[inside] = np.rint(values[inside] * SCALE)
    inside &= np.abs(scaled.sum(axis=1) - SCALE) <= SCALE // 1000
    chosen = np.full(len(values), np.nan)
    if values.shape[1]:
        chosen[inside] = values[inside].max(axis=1)
    return chosen


def evaluation(true: NDArray[Any], predicted: NDArray[Any], confidence: NDArray[Any] | None = None) -> Fact:
    """Return the tally of an evaluation.

    Args:
        true: True labels, [rows].
        predicted: Labels that the version gave, [rows].
        confidence: Probability of each predicted label, [rows]; NaN, or None for all, where the version gives none.
            Such rows are in no bin.
    """
    first, second = labels(true), labels(predicted)
    bins = [[0, 0, 0] for _ in range(BINS)]
    if confidence is not None:
        known = np.isfinite(confidence)
        scaled = np.clip(np.rint(np.asarray(confidence, np.float64)[known] * SCALE), 0, SCALE).astype(np.int64)
        place = np.minimum(scaled * BINS // SCALE, BINS - 1)
        correct = (first == second)[known]
        for number in np.unique(place).tolist():
            inside = place == number
            bins[number] = [int(inside.sum()), int(correct[inside].sum()), int(scaled[inside].sum())]
    return {"pairs": _pairs(first, second), "bins": [[rows, right, str(total)] for rows, right, total in bins]}


def comparison(
    rows: int,
    outputs: Mapping[str, tuple[NDArray[Any] | None, NDArray[Any] | None]],
    given: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> Fact:
    """Return the tally of a comparison.

    Args:
        rows: Rows of the shard.
        outputs: By name the baseline's values and the version's, [rows, ...]; None on the side that lacks the output.
            Outputs of other shapes or datatypes on the two sides are other outputs in every row.
        given: Labels of the baseline and of the version, [rows]; None where one of them gives none.
    """
    same = np.ones(rows, np.bool_)
    entries: list[Fact] = []
    for name in sorted(outputs):
        identical, entry = _difference(rows, *outputs[name])
        same &= identical
        entries.append([name, int(identical.sum()), *entry])
    return {
        "rows": rows,
        "identical": int(same.sum()),
        "outputs": entries,
        "pairs": [] if given is None else _pairs(labels(given[0]), labels(given[1])),
    }


def total(kind: str, tallies: Iterable[Fact]) -> Fact:
    """Return the tally of shards put together; None for a job of a kind that counts nothing."""
    if kind == plan.EVALUATE:
        return _total_evaluation(tallies)
    if kind == plan.COMPARE:
        return _total_comparison(tallies)
    return None


def _total_evaluation(tallies: Iterable[Any]) -> Fact:
    pairs: dict[tuple[str, str], int] = {}
    bins = [[0, 0, 0] for _ in range(BINS)]
    for tally in tallies:
        _add_pairs(pairs, tally["pairs"])
        for sums, (rows, correct, confidence) in zip(bins, tally["bins"], strict=True):
            sums[0] += rows
            sums[1] += correct
            sums[2] += int(confidence)
    return {"pairs": _listed(pairs), "bins": [[rows, right, str(sums)] for rows, right, sums in bins]}


def _total_comparison(tallies: Iterable[Any]) -> Fact:
    pairs: dict[tuple[str, str], int] = {}
    outputs: dict[str, list[Any]] = {}
    rows = identical = 0
    for tally in tallies:
        rows += tally["rows"]
        identical += tally["identical"]
        _add_pairs(pairs, tally["pairs"])
        for name, same, largest, added, values, strange in tally["outputs"]:
            sums = outputs.setdefault(name, [0, "0.0", 0, 0, 0])
            sums[0] += same
            sums[1] = max(sums[1], largest, key=float)
            sums[2] += int(added)
            sums[3] += values
            sums[4] += strange
    listed: list[Fact] = [
        [name, same, largest, str(added), values, strange]
        for name, (same, largest, added, values, strange) in sorted(outputs.items())
    ]
    return {"rows": rows, "identical": identical, "outputs": listed, "pairs": _listed(pairs)}


def _label(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _pairs(first: NDArray[np.str_], second: NDArray[np.str_]) -> Fact:
    """Return how often each pair of labels stands in one row."""
    ones, one = np.unique(first, return_inverse=True)
    others, other = np.unique(second, return_inverse=True)
    counts = np.bincount(one * max(len(others), 1) + other, minlength=len(ones) * len(others))
    found = np.flatnonzero(counts)
    return [
        [str(ones[place // len(others)]), str(others[place % len(others)]), int(counts[place])]
        for place in found.tolist()
    ]


def _difference(
    rows: int, one: NDArray[Any] | None, other: NDArray[Any] | None
) -> tuple[NDArray[np.bool_], list[Fact]]:
    """Return which rows of an output are identical, and its largest difference, their sum, and what they are of."""
    if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
        return np.zeros(rows, np.bool_), ["0.0", "0", 0, 0]
    if not one.size:
        return np.ones(rows, np.bool_), ["0.0", "0", 0, 0]
    first, second = one.reshape(rows, -1), other.reshape(rows, -1)
    if first.dtype.kind not in "biuf":
        return np.asarray((first == second).all(axis=1)), ["0.0", "0", 0, 0]
    width = np.dtype(f"u{first.dtype.itemsize}")
    identical = (np.ascontiguousarray(first).view(width) == np.ascontiguousarray(second).view(width)).all(axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(first.astype(np.float64) - second.astype(np.float64))
    gaps[first == second] = 0.0
    gaps[np.isnan(first) & np.isnan(second)] = 0.0
    finite = gaps < _UNCOUNTED
    counted = gaps[finite]
    largest = repr(float(counted.max())) if counted.size else "0.0"
    return np.asarray(identical), [largest, str(_scaled_sum(counted)), int(counted.size), int((~finite).sum())]


def _scaled_sum(values: NDArray[np.float64]) -> int:
    """Return the sum of values that are not negative, each in units of 2^-32, exactly."""
    scaled = np.rint(values * SCALE)
    small = values < _LARGE
    large: list[float] = scaled[~small].tolist()
    # Pieces, so that no sum of scaled values below 2^52 leaves 64 bits.
    pieces = np.array_split(scaled[small].astype(np.int64), values.size // 1024 + 1)
    return sum(int(piece.sum()) for piece in pieces) + sum(map(int, large))


def _add_pairs(sums: dict[tuple[str, str], int], pairs: Iterable[Any]) -> None:
    for first, second, rows in pairs:
        sums[first, second] = sums.get((first, second), 0) + rows


def _listed(pairs: dict[tuple[str, str], int]) -> list[Fact]:
    return [[first, second, rows] for (first, second), rows in sorted(pairs.items())]
