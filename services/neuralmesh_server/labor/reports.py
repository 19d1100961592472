"""Reports: what the tallies of an evaluation or comparison say, computed exactly and written in one form.

Ratios are fractions of integers until they are written: decimals rounded half to even to 12 places, without trailing
zeros. So the report of a job, like its results, has the same bytes whoever makes it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from neuralmesh_server.labor import plan, tallies

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuralmesh_server.canonical import Fact

PLACES = 12
"""Decimals of a ratio."""


def report(kind: str, counted: Iterable[Fact]) -> Fact:
    """Return the report of a job from the tallies of its shards, in any order; None for an inference.

    Evaluations: accuracy, `classes` with precision, recall and F1 of each label, their unweighted means as `macro`,
    the confusion as [true, predicted, rows], Cohen's kappa, and `calibration` where the version gives probabilities for
    every row. Comparisons: how many rows are identical in every bit, how many labels agree, which moved from what to
    what, and how far the values of each output differ. A ratio of nothing is null, and counts as 0 in a mean.
    """
    sums: Any = tallies.total(kind, counted)
    if kind == plan.EVALUATE:
        return _evaluation(sums["pairs"], sums["bins"])
    if kind == plan.COMPARE:
        return _comparison(sums)
    return None


def decimal(value: Fraction) -> str:
    """Return a number as a decimal of at most 12 places, rounded half to even."""
    scaled = round(value * 10**PLACES)
    whole, part = divmod(abs(scaled), 10**PLACES)
    text = f"{whole}.{part:0{PLACES}d}".rstrip("0").rstrip(".")
    return "-" + text if scaled < 0 else text


def in_order(labels: Iterable[str]) -> list[str]:
    """Return labels in the order that people expect: numbers by value, before text."""
    return sorted(set(labels), key=_order)


def _order(label: str) -> tuple[int, int, str]:
    number = label.removeprefix("-")
    if number.isascii() and number.isdigit():
        return 0, int(label), label
    return 1, 0, label


def _evaluation(pairs: list[Any], bins: list[Any]) -> Fact:
    rows = sum(count for _, _, count in pairs)
    right = sum(count for true, predicted, count in pairs if true == predicted)
    classes = _classes(pairs)
    return {
        "labor_report": 1,
        "kind": plan.EVALUATE,
        "rows": rows,
        "correct": right,
        "accuracy": _ratio(right, rows),
        "kappa": _kappa(pairs, rows),
        "classes": [_written(entry) for entry in classes],
        "macro": {
            name: _mean([entry[name] for entry in classes]) if classes else None
            for name in ("precision", "recall", "f1")
        },
        "confusion": _ordered(pairs),
        "calibration": _calibration(bins, rows),
    }


def _classes(pairs: list[Any]) -> list[dict[str, Any]]:
    support, given = _margins(pairs)
    right = {true: count for true, predicted, count in pairs if true == predicted}
    return [
        {
            "label": label,
            "rows": support.get(label, 0),
            "predicted": given.get(label, 0),
            "correct": right.get(label, 0),
            "precision": _share(right.get(label, 0), given.get(label, 0)),
            "recall": _share(right.get(label, 0), support.get(label, 0)),
            "f1": _share(2 * right.get(label, 0), support.get(label, 0) + given.get(label, 0)),
        }
        for label in in_order([*support, *given])
    ]


def _calibration(bins: list[Any], rows: int) -> Fact:
    """Return how far confidences are from how often they are right; None unless every row has one."""
    if not rows or sum(count for count, _, _ in bins) != rows:
        return None
    # A bin's gap times its rows: |correct - sum of confidences|, exactly.
    gaps = [abs(Fraction(right) - Fraction(int(total), tallies.SCALE)) for _, right, total in bins]
    largest = max((gap / count for gap, (count, _, _) in zip(gaps, bins, strict=True) if count), default=Fraction(0))
    return {
        "expected_error": decimal(sum(gaps, Fraction(0)) / rows),
        "maximum_error": decimal(largest),
        "bins": [
            {
                "rows": count,
                "accuracy": _ratio(right, count),
                "confidence": decimal(Fraction(int(total), tallies.SCALE) / count) if count else None,
            }
            for count, right, total in bins
        ],
    }


def _comparison(sums: Any) -> Fact:
    rows, pairs = sums["rows"], sums["pairs"]
    agreeing = sum(count for before, after, count in pairs if before == after)
    moved = [pair for pair in _ordered(pairs) if pair[0] != pair[1]]
    before, after = _margins(pairs)
    return {
        "labor_report": 1,
        "kind": plan.COMPARE,
        "rows": rows,
        "identical_rows": sums["identical"],
        "identical": _ratio(sums["identical"], rows),
        "agreeing": agreeing if pairs else None,
        "agreement": _ratio(agreeing, rows) if pairs else None,
        "kappa": _kappa(pairs, rows) if pairs else None,
        "moved": sorted(moved, key=lambda pair: -pair[2]),
        "labels": [
            {"label": label, "before": before.get(label, 0), "after": after.get(label, 0)}
            for label in in_order([*before, *after])
        ],
        "outputs": [
            {
                "name": name,
                "identical_rows": same,
                "largest_difference": largest,
                "mean_difference": decimal(Fraction(int(added), tallies.SCALE) / values) if values else None,
                "not_finite": strange,
            }
            for name, same, largest, added, values, strange in sums["outputs"]
        ],
    }


def _kappa(pairs: list[Any], rows: int) -> str | None:
    """Return Cohen's kappa, agreement beyond chance: (p_o - p_e) / (1 - p_e); None where chance explains everything."""
    first, second = _margins(pairs)
    agreeing = sum(count for one, other, count in pairs if one == other)
    chance = sum(count * second.get(label, 0) for label, count in first.items())
    beyond = rows * rows - chance
    return decimal(Fraction(agreeing * rows - chance, beyond)) if beyond else None


def _margins(pairs: list[Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many rows have each label on the first and on the second side."""
    first: dict[str, int] = {}
    second: dict[str, int] = {}
    for one, other, count in pairs:
        first[one] = first.get(one, 0) + count
        second[other] = second.get(other, 0) + count
    return first, second


def _ordered(pairs: list[Any]) -> list[Any]:
    return sorted(pairs, key=lambda pair: (_order(pair[0]), _order(pair[1])))


def _share(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def _ratio(part: int, whole: int) -> str | None:
    return decimal(Fraction(part, whole)) if whole else None


def _mean(values: list[Fraction | None]) -> str:
    return decimal(sum((value or Fraction(0) for value in values), Fraction(0)) / len(values))


def _written(entry: dict[str, Any]) -> Fact:
    return {name: decimal(value) if isinstance(value, Fraction) else value for name, value in entry.items()}
