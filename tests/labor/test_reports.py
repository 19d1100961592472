"""Tallies and reports, held against scikit-learn."""

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.calibration import calibration_curve

from neuralmesh_server import canonical
from neuralmesh_server.labor import plan, reports, tallies

CLASSES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60).filter(
    lambda rows: len({label for row in rows for label in row}) > 1
)


def cut(rows: int, seed: int) -> list[slice]:
    """Return slices that cover the rows, of random sizes, in random order."""
    draw = random.Random(seed)
    edges = sorted({0, rows, *(draw.randrange(rows + 1) for _ in range(5))})
    pieces = [slice(first, last) for first, last in itertools.pairwise(edges)]
    draw.shuffle(pieces)
    return pieces


@settings(max_examples=40, deadline=None)
@given(CLASSES, st.integers(0, 9))
def test_an_evaluation_says_what_scikit_learn_says(rows: list[tuple[int, int]], seed: int) -> None:
    """Accuracy, kappa, precision, recall, F1, their means and the confusion agree to 12 decimals, however it is cut."""
    true, predicted = np.array(rows).T
    counted = [tallies.evaluation(true[piece], predicted[piece]) for piece in cut(len(rows), seed)]
    said = reports.report("evaluate", counted)
    names = sorted({*true.tolist(), *predicted.tolist()})
    assert float(said["accuracy"]) == pytest.approx(metrics.accuracy_score(true, predicted), abs=1e-12)
    figures = metrics.precision_recall_fscore_support(true, predicted, labels=names, zero_division=0)
    assert [entry["label"] for entry in said["classes"]] == list(map(str, names))
    for name, expected in zip(("precision", "recall", "f1", "rows"), figures, strict=True):
        assert [float(entry[name] or 0) for entry in said["classes"]] == pytest.approx(list(expected), abs=1e-12)
    means = metrics.precision_recall_fscore_support(true, predicted, labels=names, average="macro", zero_division=0)
    assert [float(said["macro"][name]) for name in ("precision", "recall", "f1")] == pytest.approx(means[:3], abs=1e-12)
    matrix = np.zeros((len(names), len(names)), int)
    for one, other, count in said["confusion"]:
        matrix[names.index(int(one)), names.index(int(other))] = count
    assert (matrix == metrics.confusion_matrix(true, predicted, labels=names)).all()
    assert float(said["kappa"]) == pytest.approx(metrics.cohen_kappa_score(true, predicted), abs=1e-11)


def test_the_calibration_is_that_of_scikit_learn() -> None:
    """Each bin has scikit-learn's accuracy and mean confidence, and the expected error is their weighted gap."""
    draw = np.random.default_rng(5)
    probabilities = draw.dirichlet(np.full(4, 0.4), 3000).astype(np.float32)
    true = draw.integers(0, 4, 3000)
    predicted = probabilities.argmax(axis=1)
    confidence = tallies.confidences(probabilities)
    counted = [tallies.evaluation(true[piece], predicted[piece], confidence[piece]) for piece in cut(3000, 1)]
    said = reports.report("evaluate", counted)["calibration"]
    right, mean = calibration_curve(true == predicted, confidence, n_bins=tallies.BINS)
    found = [entry for entry in said["bins"] if entry["rows"]]
    assert [float(entry["accuracy"]) for entry in found] == pytest.approx(list(right), abs=1e-9)
    assert [float(entry["confidence"]) for entry in found] == pytest.approx(list(mean), abs=1e-9)
    weights = np.array([entry["rows"] for entry in found]) / 3000
    assert float(said["expected_error"]) == pytest.approx((weights * abs(right - mean)).sum(), abs=1e-9)
    assert float(said["maximum_error"]) == pytest.approx(abs(right - mean).max(), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_report_has_the_same_bytes_however_the_rows_are_cut(seed: int) -> None:
    """Shards of any size in any order give one report, byte for byte, evaluation and comparison alike."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(2, 200, 3)) * 10.0 ** draw.integers(-8, 30, (2, 200, 1))
    scores[1, ::3] = scores[0, ::3]
    scores[0, 7, 1], scores[1, 9, 2] = math.nan, math.inf
    chosen = scores.argmax(axis=2)
    probabilities = draw.dirichlet(np.ones(3), 200)

    def both(pieces: list[slice]) -> tuple[bytes, bytes]:
        compared = [
            tallies.comparison(
                len(scores[0, piece]),
                {"scores": (scores[0, piece], scores[1, piece])},
                (chosen[0, piece], chosen[1, piece]),
            )
            for piece in pieces
        ]
        confidence = tallies.confidences(probabilities)
        evaluated = [tallies.evaluation(chosen[0, piece], chosen[1, piece], confidence[piece]) for piece in pieces]
        assert all(canonical.encode(tally) for tally in compared + evaluated)
        return (
            canonical.encode(reports.report("compare", compared)),
            canonical.encode(reports.report("evaluate", evaluated)),
        )

    assert both([slice(0, 200)]) == both(cut(200, seed)) == both([slice(row, row + 1) for row in range(200)])


def test_a_comparison_says_what_moved_and_how_far() -> None:
    """Identical rows, agreement, the labels that moved and the differences of each output are those of the rows."""
    before = {"label": np.array([1, 2, 3, 3]), "score": np.array([[0.5, 1], [2, 2], [3, 3], [4, 4]], np.float32)}
    after = {"label": np.array([1, 2, 1, 1]), "score": np.array([[0.5, 1], [2, 2.5], [3, 3], [4, 2]], np.float32)}
    tally = tallies.comparison(
        4, {name: (before[name], after[name]) for name in before}, (before["label"], after["label"])
    )
    said = reports.report("compare", [tally])
    assert said["identical_rows"] == 1
    assert (said["agreeing"], said["agreement"]) == (2, "0.5")
    assert said["moved"] == [["3", "1", 2]]
    assert [(entry["label"], entry["before"], entry["after"]) for entry in said["labels"]] == [
        ("1", 1, 3),
        ("2", 1, 1),
        ("3", 2, 0),
    ]
    score = next(entry for entry in said["outputs"] if entry["name"] == "score")
    assert score["largest_difference"] == "2.0"
    assert Fraction(score["mean_difference"]) == Fraction(5, 2) / 8
    assert score["identical_rows"] == 2


def test_outputs_of_other_shapes_or_on_one_side_are_identical_in_no_row() -> None:
    """An output that only one version has, or in another datatype, makes every row different."""
    values = np.arange(3.0)
    for pair in ((values, None), (None, values), (values, values.astype(np.float32)), (values, values[:, None])):
        said = reports.report("compare", [tallies.comparison(3, {"y": (values, values), "z": pair})])
        assert said["identical_rows"] == 0
        assert [entry["identical_rows"] for entry in said["outputs"]] == [3, 0]
        assert said["agreement"] is None


def test_labels_are_one_text_whatever_their_type() -> None:
    """7 as integer, float, text or bytes is the label 7."""
    for values in (
        np.array([7, 2]),
        np.array([7.0, 2.0], np.float32),
        np.array(["7", "2"]),
        np.array([b"7", b"2"], object),
    ):
        assert tallies.labels(values).tolist() == ["7", "2"]
    assert reports.in_order(["10", "9", "-1", "cat", "ape", "9"]) == ["-1", "9", "10", "ape", "cat"]


def test_rows_that_are_no_distribution_have_no_confidence() -> None:
    """Scores are not taken for probabilities: calibration is only said where every row has one."""
    rows = np.array([[0.25, 0.75], [0.5, 0.6], [-0.1, 1.1], [math.nan, 1.0], [1.0, 0.0]])
    confidence = tallies.confidences(rows)
    assert np.isnan(confidence).tolist() == [False, True, True, True, False]
    assert confidence[[0, 4]].tolist() == [0.75, 1.0]
    tally = tallies.evaluation(np.array([1, 0]), np.array([1, 0]), confidence[:2])
    assert reports.report("evaluate", [tally])["calibration"] is None


def test_a_sum_beyond_what_json_keeps_is_exact() -> None:
    """Differences whose scaled sum passes 2^53 are added without a rounding."""
    gap = float(2**40) + 0.5
    tally = tallies.comparison(1000, {"y": (np.zeros(1000), np.full(1000, gap))})
    said = reports.report("compare", [tally] * 7)
    assert said["outputs"][0]["mean_difference"] == "1099511627776.5"


@given(st.fractions(-1000, 1000))
def test_decimals_read_back_as_what_they_were_rounded_from(value: Fraction) -> None:
    """A written ratio is within half a unit of its last place."""
    assert abs(Fraction(reports.decimal(value)) - value) <= Fraction(1, 2 * 10**reports.PLACES)


def test_nothing_evaluated_has_no_ratios() -> None:
    """A job all of whose rows were skipped has a report, with null where a ratio would be of nothing."""
    nothing = np.array([], np.int64)
    said = reports.report("evaluate", [tallies.evaluation(nothing, nothing, np.array([]))])
    assert (said["rows"], said["accuracy"], said["calibration"]) == (0, None, None)
    empty = {"y": (np.zeros((0, 3)), np.zeros((0, 3)))}
    compared = reports.report("compare", [tallies.comparison(0, empty, (nothing, nothing))])
    assert (compared["rows"], compared["identical"]) == (0, None)


def test_an_inference_has_no_report() -> None:
    """Only evaluations and comparisons count anything."""
    assert reports.report("infer", [None, None]) is None


def test_a_shard_without_rows_counts_nothing() -> None:
    """A shard whose rows are all skipped has tallies like any other, which add nothing."""
    none = np.zeros((0, 3), np.float32)
    labels = np.zeros(0, np.int64)
    evaluated = tallies.evaluation(labels, labels, tallies.confidences(none))
    compared = tallies.comparison(0, {"scores": (none, none)}, (labels, labels))
    assert reports.report(plan.EVALUATE, [evaluated])["rows"] == 0
    assert reports.report(plan.COMPARE, [compared])["rows"] == 0
