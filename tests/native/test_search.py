"""Search among binary codes against NumPy over unpacked bits, at every SIMD level."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from liam_core import BinaryCodes, capabilities, pack, rescore_vectors, set_level
from tests.native.oracle import Maker

SHAPES = [
    (1, 1, 1),
    (1, 16, 64),
    (2, 17, 63),
    (3, 50, 65),
    (4, 33, 128),
    (7, 40, 200),
    (8, 64, 256),
    (9, 100, 1000),
    (23, 83, 321),
    (300, 20, 100),
    (2, 3, 65536 + 70),
]

METRICS = ("hamming", "dot", "jaccard")


def random_bits(seed, *shape, density=0.5):
    """Return random bools."""
    return np.random.default_rng(seed).random(shape) < density


def oracle(queries, codes, metric):
    """Return the distances of bools, with the documented roundings."""
    different = (queries[:, None, :] != codes[None, :, :]).sum(axis=2)
    nbits = codes.shape[1]
    if metric == "hamming":
        return different.astype(np.uint16 if nbits <= 65535 else np.uint32)
    if metric == "dot":
        return (nbits - 2 * different).astype(np.int32)
    either = (queries[:, None, :] | codes[None, :, :]).sum(axis=2)
    quotient = different.astype(np.float32) / np.maximum(either, 1).astype(np.float32)
    return np.where(either == 0, np.float32(0), quotient)


def sorted_oracle(distances, metric):
    """Return each query's positions in the order in which they are to be found."""
    rank = -distances.astype(np.int64) if metric == "dot" else distances
    return np.argsort(rank, axis=1, kind="stable")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", SHAPES)
def test_searches_agree_with_numpy(level, shape, metric):
    """Distances, the nearest codes and the codes within a radius are those of the unpacked bits, for any threads."""
    m, n, nbits = shape
    queries, rows = random_bits(1, m, nbits), random_bits(2, n, nbits)
    codes, packed = BinaryCodes(pack(rows), nbits), pack(queries)
    assert (codes.rows, codes.nbits) == (n, nbits)
    want = oracle(queries, rows, metric)
    got = codes.distances(packed, metric)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)

    order = sorted_oracle(want, metric)
    for threads in (1, 2, 3):
        for k in (0, 1, 10, n, n + 5):
            found = codes.top_k(packed, k, metric, threads=threads)
            np.testing.assert_array_equal(found.positions, order[:, :k])
            assert found.distances.dtype == want.dtype
            assert found.positions.dtype == np.int64
            np.testing.assert_array_equal(found.distances, np.take_along_axis(want, order[:, :k], axis=1))

        radius = np.sort(want, axis=None)[want.size // 3].item()
        matches = codes.within(packed, radius, metric, threads=threads)
        near = want >= radius if metric == "dot" else want <= radius
        np.testing.assert_array_equal(matches.counts, near.sum(axis=1))
        expected = [row[near[i, row]] for i, row in enumerate(order)]
        np.testing.assert_array_equal(matches.positions, np.concatenate(expected))
        np.testing.assert_array_equal(matches.distances, np.concatenate([want[i, e] for i, e in enumerate(expected)]))
        assert matches.distances.dtype == want.dtype


def test_jaccard_is_that_of_scipy(level):
    """Jaccard distances are SciPy's, rounded to float32, and two empty codes are at distance 0."""
    queries, rows = random_bits(3, 20, 150, density=0.1), random_bits(4, 60, 150, density=0.1)
    queries[0] = rows[0] = False
    got = BinaryCodes(pack(rows), 150).distances(pack(queries), "jaccard")
    np.testing.assert_allclose(got, cdist(queries, rows, "jaccard"), rtol=1e-6, atol=0)
    assert got[0, 0] == 0
    assert (got[0, 1:] == 1).all()


@pytest.mark.parametrize("metric", METRICS)
def test_ties_go_to_the_lowest_position(level, metric):
    """Among equal distances the first positions are found, in order, for any threads."""
    codes = BinaryCodes(pack(np.ones((1000, 70), np.bool_)), 70)
    queries = pack(np.zeros((3, 70), np.bool_))
    for threads in (1, 2, 3):
        found = codes.top_k(queries, 37, metric, threads=threads)
        np.testing.assert_array_equal(found.positions, np.tile(np.arange(37), (3, 1)))
        radius = {"hamming": 70, "dot": -70, "jaccard": 1}[metric]
        matches = codes.within(queries, radius, metric, threads=threads)
        np.testing.assert_array_equal(matches.positions, np.tile(np.arange(1000), 3))
        assert matches.counts.tolist() == [1000] * 3


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("step", [1, -1])
def test_the_order_of_the_codes_does_not_matter(level, metric, step):
    """Codes that come ever nearer, the most work for a heap, and ever farther, the least, are found alike."""
    nbits = 300
    rows = np.tri(nbits, nbits, dtype=np.bool_)[::step].copy()
    codes, query = BinaryCodes(pack(rows), nbits), np.zeros((1, nbits), np.bool_)
    want = oracle(query, rows, metric)
    found = codes.top_k(pack(query), 40, metric)
    np.testing.assert_array_equal(found.positions, sorted_oracle(want, metric)[:, :40])


def test_the_rows_that_fill_a_panel_are_never_found(level):
    """A query equal to the zeros behind the last code finds codes only."""
    codes = BinaryCodes(pack(np.ones((17, 64), np.bool_)), 64)
    empty = np.zeros((9, 1), np.uint64)
    for metric in METRICS:
        assert codes.top_k(empty, 100, metric).positions.max() == 16
        assert codes.within(empty, -64 if metric == "dot" else 64, metric).counts.tolist() == [17] * 9
    assert codes.within(empty, 63).counts.tolist() == [0] * 9


def test_many_matches_are_all_returned(level):
    """More matches than the first room for them are found, whichever thread finds them."""
    codes = BinaryCodes(pack(random_bits(5, 3000, 64)), 64)
    queries = pack(random_bits(6, 20, 64))
    want = codes.distances(queries)
    for threads in (1, 2, 3):
        matches = codes.within(queries, 32, threads=threads)
        np.testing.assert_array_equal(matches.counts, (want <= 32).sum(axis=1))
        few = codes.within(queries[:2].copy(), 32, threads=threads)
        np.testing.assert_array_equal(few.positions, matches.positions[: few.counts.sum()])


def test_empty_searches(level):
    """No queries, no codes and no bits are searched too."""
    none = np.empty((0, 2), np.uint64)
    some = np.zeros((3, 2), np.uint64)
    for metric in METRICS:
        for codes, queries, found in (
            (BinaryCodes(none, 100), some, (3, 0)),
            (BinaryCodes(some, 100), none, (0, 3)),
            (BinaryCodes(np.empty((3, 0), np.uint64), 0), np.empty((2, 0), np.uint64), (2, 3)),
        ):
            assert codes.distances(queries, metric).shape == (len(queries), codes.rows)
            neighbours = codes.top_k(queries, 5, metric, threads=2)
            assert neighbours.positions.shape == neighbours.distances.shape == found
            matches = codes.within(queries, 0, metric, threads=2)
            assert matches.counts.tolist() == [codes.rows] * len(queries)
            assert matches.positions.shape == matches.distances.shape == (codes.rows * len(queries),)
        bare = BinaryCodes(np.empty((3, 0), np.uint64), 0).top_k(np.empty((2, 0), np.uint64), 2, metric)
        assert bare.positions.tolist() == [[0, 1]] * 2
        assert bare.distances.tolist() == [[0, 0]] * 2


def test_radius_at_its_ends(level):
    """Radii at and beyond the smallest and greatest distances are taken as they are meant."""
    rows = random_bits(7, 50, 80)
    codes, queries = BinaryCodes(pack(rows), 80), pack(rows[:3])
    assert codes.within(queries, 0).counts.tolist() == [1] * 3
    assert codes.within(queries, 2**40).counts.tolist() == [50] * 3
    assert codes.within(queries, 80, "dot").counts.tolist() == [1] * 3
    assert codes.within(queries, 81, "dot").counts.tolist() == [0] * 3
    assert codes.within(queries, 79, "dot").counts.tolist() == [1] * 3
    assert codes.within(queries, -(2**40), "dot").counts.tolist() == [50] * 3
    assert codes.within(queries, 0.0, "jaccard").counts.tolist() == [1] * 3
    assert codes.within(queries, -0.0, "jaccard").counts.tolist() == [1] * 3
    assert codes.within(queries, 7, "jaccard").counts.tolist() == [50] * 3


def test_excess_bits_are_ignored(level):
    """Bits past nbits in queries or codes change nothing."""
    queries, rows = pack(random_bits(8, 9, 70)), pack(random_bits(9, 30, 70))
    poison = np.array([0, 2**64 - 64], np.uint64)
    for metric in METRICS:
        want = BinaryCodes(rows, 70).distances(queries, metric)
        np.testing.assert_array_equal(BinaryCodes(rows | poison, 70).distances(queries | poison, metric), want)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), n=st.integers(1, 40), nbits=st.integers(1, 200), density=st.floats(0, 1))
def test_distances_are_metrics(level, seed, n, nbits, density):
    """Hamming and Jaccard distances are 0 for the same code, symmetric, and obey the triangle inequality."""
    rows = pack(random_bits(seed, n, nbits, density=density))
    codes = BinaryCodes(rows, nbits)
    for metric in ("hamming", "jaccard"):
        d = codes.distances(rows, metric).astype(np.float64)
        assert (np.diagonal(d) == 0).all()
        np.testing.assert_array_equal(d, d.T)
        assert (d[:, None, :] <= d[:, :, None] + d[None, :, :] + 1e-6).all()


def ordered_sum(terms):
    """Return float32 sums along the last axis, in the order that the kernel's header defines."""
    pad = -terms.shape[-1] % 16
    terms = np.concatenate([terms, np.zeros((*terms.shape[:-1], pad), np.float32)], axis=-1)
    sums = np.zeros((*terms.shape[:-1], 16), np.float32)
    for first in range(0, terms.shape[-1], 16):
        sums += terms[..., first : first + 16]
    for half in (8, 4, 2, 1):
        sums = sums[..., :half] + sums[..., half : 2 * half]
    return sums[..., 0]


@pytest.mark.parametrize("width", [1, 15, 16, 17, 63, 64, 65, 200, 1024])
@pytest.mark.parametrize("listed", [1, 3, 4, 9])
def test_scores_are_summed_in_the_documented_order(level, width, listed):
    """Scores of codes and of vectors equal NumPy's sums in the same order, to the last bit."""
    random = np.random.default_rng(width)
    queries = random.standard_normal((5, width)).astype(np.float32)
    vectors = random.standard_normal((40, width)).astype(np.float32)
    positions = random.integers(0, 40, (5, listed))
    codes = BinaryCodes(pack(vectors), width)
    signs = np.where(vectors >= 0, np.float32(1), np.float32(-1))
    got = codes.rescore(queries, positions)
    assert got.tobytes() == ordered_sum(queries[:, None, :] * signs[positions]).tobytes()
    got = rescore_vectors(queries, vectors, positions)
    assert got.tobytes() == ordered_sum(queries[:, None, :] * vectors[positions]).tobytes()
    np.testing.assert_allclose(got, np.einsum("id,icd->ic", queries, vectors[positions]), atol=1e-3)


def test_scores_of_numbers_that_are_not_finite():
    """Infinities and NaN give the same bits at every level."""
    queries = np.array([[np.inf, 1.0, 2.0], [np.inf, np.inf, 0.0], [np.nan, 1.0, -np.nan]], np.float32)
    codes = BinaryCodes(pack(np.array([[True, True, True], [True, False, False]])), 3)
    positions = np.array([[0, 1]] * 3)
    results = set()
    for level in capabilities().supported:
        with set_level(level):
            results.add(codes.rescore(queries, positions).tobytes())
    assert len(results) == 1
    scores = np.frombuffer(results.pop(), np.float32)
    np.testing.assert_array_equal(scores, np.array([np.inf, np.inf, np.inf, np.nan, np.nan, np.nan], np.float32))


def test_empty_shortlists(level):
    """No queries, an empty shortlist and vectors without columns have scores too."""
    codes = BinaryCodes(np.zeros((3, 2), np.uint64), 70)
    assert codes.rescore(np.zeros((2, 70), np.float32), np.zeros((2, 0), np.int64)).shape == (2, 0)
    assert codes.rescore(np.zeros((0, 70), np.float32), np.zeros((0, 4), np.int64)).shape == (0, 4)
    wide = rescore_vectors(np.zeros((2, 0), np.float32), np.zeros((3, 0), np.float32), np.zeros((2, 4), np.int64))
    assert wide.tolist() == [[0.0] * 4] * 2


def test_codes_are_copied(level):
    """Changing the array after preparation changes nothing."""
    rows = pack(random_bits(10, 30, 70))
    codes, queries = BinaryCodes(rows, 70), rows.copy()
    want = codes.distances(queries, "jaccard")
    rows[:] = 0
    np.testing.assert_array_equal(codes.distances(queries, "jaccard"), want)


def test_levels_agree_to_the_bit():
    """Every supported level returns the bytes that the scalar level returns."""
    maker = Maker(11)
    rows, queries = pack(maker.signs(500, 333)), pack(maker.signs(17, 333))
    codes = BinaryCodes(rows, 333)
    results = set()
    for level in capabilities().supported:
        with set_level(level):
            found = [codes.distances(queries, metric).tobytes() for metric in METRICS]
            for metric in METRICS:
                found += [array.tobytes() for array in codes.top_k(queries, 25, metric)]
                found += [
                    array.tobytes() for array in codes.within(queries, 0.6 if metric == "jaccard" else 150, metric)
                ]
            results.add(b"".join(found))
    assert len(results) == 1


CODES = BinaryCodes(np.zeros((3, 2), np.uint64), 70)
WORDS = np.zeros((4, 2), np.uint64)
FLOATS = np.zeros((4, 70), np.float32)
POSITIONS = np.zeros((4, 2), np.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BinaryCodes(WORDS[0], 70), "codes: want 2 axes"),
        (lambda: BinaryCodes(WORDS, 200), "codes: want 4 words"),
        (lambda: BinaryCodes(WORDS, 70.0), "nbits: want an int"),
        (lambda: CODES.distances(WORDS[:, :1].copy()), "queries: want 2 words"),
        (lambda: CODES.distances(WORDS, "cosine"), "metric: want 'hamming', 'dot' or 'jaccard', got 'cosine'"),
        (lambda: CODES.top_k(WORDS[0], 1), "queries: want 2 axes"),
        (lambda: CODES.top_k(WORDS, -1), "k: want an integer of at least 0"),
        (lambda: CODES.top_k(WORDS, True), "k: want an integer"),
        (lambda: CODES.top_k(WORDS, 1, "l2"), "metric: want"),
        (lambda: CODES.top_k(WORDS, 1, threads=0), "threads: want an integer of at least 1"),
        (lambda: CODES.within(WORDS.astype(np.int64), 1), "queries: want dtype uint64"),
        (lambda: CODES.within(WORDS, -1), "radius: want an integer of at least 0"),
        (lambda: CODES.within(WORDS, 0.5), "radius: want an integer"),
        (lambda: CODES.within(WORDS, 0.5, "dot"), "radius: want an integer"),
        (lambda: CODES.within(WORDS, -0.5, "jaccard"), "radius: want a number of at least 0"),
        (lambda: CODES.within(WORDS, float("nan"), "jaccard"), "radius: want a finite number"),
        (lambda: CODES.within(WORDS, 1, threads="2"), "threads: want an integer"),
        (lambda: CODES.rescore(FLOATS[:, :69].copy(), POSITIONS), "queries: want 70 columns, got 69"),
        (lambda: CODES.rescore(FLOATS.astype(np.float64), POSITIONS), "queries: want dtype float32"),
        (lambda: CODES.rescore(FLOATS, POSITIONS[:3]), "positions: want 4 rows, got 3"),
        (lambda: CODES.rescore(FLOATS, POSITIONS.astype(np.int32)), "positions: want dtype int64"),
        (lambda: CODES.rescore(FLOATS, POSITIONS + 3), "positions: want positions within [0, 3)"),
        (lambda: CODES.rescore(FLOATS, POSITIONS - 1), "positions: want positions within [0, 3)"),
        (lambda: rescore_vectors(FLOATS, FLOATS[:, :9].copy(), POSITIONS), "queries: want 9 columns"),
        (lambda: rescore_vectors(FLOATS, FLOATS[0], POSITIONS), "vectors: want 2 axes"),
        (lambda: rescore_vectors(FLOATS, FLOATS[::2], POSITIONS), "vectors: want a C-contiguous"),
        (lambda: rescore_vectors(FLOATS, FLOATS, POSITIONS + 4), "positions: want positions within [0, 4)"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
