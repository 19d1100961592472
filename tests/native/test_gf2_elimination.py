"""Elimination over GF(2) against plain NumPy, at every SIMD level: echelon forms, ranks, inverses, systems, null spaces.

The reduced row echelon form is unique, so whole matrices are compared.
"""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import liam_core
from liam_core import gf2
from tests.native import gf2_oracle as oracle
from tests.native.gf2_oracle import packed, product, unpacked


def late_pivots(rows: int, columns: int) -> oracle.Matrix:
    """Return a random matrix whose first columns are zero, and every third one after them."""
    a = oracle.random(1, rows, columns)
    a[:, : columns * 2 // 3] = 0
    a[:, ::3] = 0
    return a


def doubled(rows: int, columns: int) -> oracle.Matrix:
    """Return a random matrix each of whose columns and rows stands there twice."""
    half = oracle.random(2, (rows + 1) // 2, (columns + 1) // 2)
    return np.repeat(np.repeat(half, 2, axis=0), 2, axis=1)[:rows, :columns].copy()


MATRICES = {
    "square 1": oracle.random(3, 1, 1),
    "one": np.ones((1, 1), np.uint8),
    **{f"square {n}": oracle.random(n, n, n) for n in (7, 8, 9, 63, 64, 65, 127, 128, 129, 500)},
    "wide": oracle.random(4, 70, 300),
    "tall": oracle.random(5, 300, 70),
    "one row": oracle.random(6, 1, 200),
    "one column": oracle.random(7, 200, 1),
    "rank 1": oracle.of_rank(8, 150, 140, 1),
    "rank 64": oracle.of_rank(9, 200, 190, 64),
    "rank 65": oracle.of_rank(10, 200, 190, 65),
    "zero": np.zeros((90, 130), np.uint8),
    "ones": np.ones((90, 130), np.uint8),
    "identity": np.eye(130, dtype=np.uint8),
    "permutation": np.eye(130, dtype=np.uint8)[np.random.default_rng(11).permutation(130)],
    "late pivots": late_pivots(150, 400),
    "doubled": doubled(260, 260),
    "lower triangle": np.tril(np.ones((140, 140), np.uint8)),
    "sparse": oracle.random(12, 400, 300, density=0.01),
    "hamming": oracle.HAMMING,
    "golay": oracle.golay()[1],
    "shift register": oracle.companion([0, 3, 4, 5], 128),
}


@pytest.fixture(params=MATRICES.values(), ids=MATRICES.keys())
def matrix(request):
    """Return one of the matrices."""
    return request.param


def test_echelon_forms_agree_with_numpy(level, matrix):
    """Form, pivots and rank are NumPy's, and the transform gives the form and is invertible."""
    nbits = matrix.shape[1]
    want, pivots = oracle.reduced(matrix)
    got = gf2.row_reduce(packed(matrix), nbits)
    np.testing.assert_array_equal(got.matrix, packed(want))
    assert got.pivots.tolist() == pivots
    assert (got.rank, gf2.rank(packed(matrix), nbits)) == (len(pivots), len(pivots))
    np.testing.assert_array_equal(gf2.multiply(got.transform, packed(matrix), nbits), got.matrix)
    assert gf2.rank(got.transform, len(matrix)) == len(matrix)
    assert gf2.rank(packed(np.ascontiguousarray(matrix.T)), len(matrix)) == len(pivots)


def test_transforms_use_the_first_rows(level, matrix):
    """A row of the transform adds only rows that are no sum of rows before them, and at most one other."""
    got = gf2.row_reduce(packed(matrix), matrix.shape[1])
    transform = unpacked(got.transform, len(matrix))
    others = np.setdiff1d(np.arange(len(matrix)), oracle.first_independent_rows(matrix))
    assert not transform[: got.rank, others].any()
    np.testing.assert_array_equal(transform[got.rank :][:, others], np.eye(len(others), dtype=np.uint8))


def test_null_spaces_are_complete(level, matrix):
    """A null space's rows are independent, give zero, and are as many as columns without a pivot, with a one each."""
    nbits = matrix.shape[1]
    basis = gf2.null_space(packed(matrix), nbits)
    free = np.setdiff1d(np.arange(nbits), oracle.reduced(matrix)[1])
    assert basis.shape == (len(free), liam_core.words_for(nbits))
    assert not gf2.matvec(packed(matrix), basis, nbits).any()
    np.testing.assert_array_equal(unpacked(basis, nbits)[:, free], np.eye(len(free), dtype=np.uint8))


def test_solvable_systems_are_solved(level, matrix):
    """A system made from a solution is solved; its solution is unique if there are as many pivots as unknowns."""
    nbits = matrix.shape[1]
    rank = len(oracle.reduced(matrix)[1])
    for columns in (1, 64, 130):
        known = oracle.random(columns, nbits, columns)
        b = packed(product(matrix, known))
        solution = gf2.solve(packed(matrix), b, nbits, columns)
        np.testing.assert_array_equal(gf2.multiply(packed(matrix), solution.x, columns), b)
        assert (solution.rank, solution.unique) == (rank, rank == nbits)
        if solution.unique:
            np.testing.assert_array_equal(solution.x, packed(known))
        free = np.setdiff1d(np.arange(nbits), oracle.reduced(matrix)[1])
        assert not solution.x[free].any()


def test_inconsistent_systems_are_refused(level):
    """A right side outside the column space is a ValueError that names rank and column."""
    a = oracle.of_rank(13, 90, 80, 30)
    b = product(a, oracle.random(14, 80, 70))
    outside = next(unit for unit in np.eye(90, dtype=np.uint8) if len(oracle.reduced(np.c_[a, unit])[1]) == 31)
    for column in (0, 5, 69):
        wrong = b.copy()
        wrong[:, [column, 69]] ^= outside[:, np.newaxis]
        message = f"b: the system is inconsistent: a has rank 30, and no x gives column {column} of b"
        with pytest.raises(ValueError, match=re.escape(message)):
            gf2.solve(packed(a), packed(wrong), 80, 70)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 500, 1000])
def test_inverses_are_inverses(level, n):
    """A product of triangles with ones on their diagonals is invertible, and its inverse undoes it on both sides."""
    ones = np.eye(n, dtype=np.uint8)
    a = packed(product(np.tril(oracle.random(15, n, n)) | ones, np.triu(oracle.random(16, n, n)) | ones))
    inverse = gf2.inverse(a)
    np.testing.assert_array_equal(gf2.multiply(a, inverse, n), packed(ones))
    np.testing.assert_array_equal(gf2.multiply(inverse, a, n), packed(ones))
    np.testing.assert_array_equal(gf2.inverse(inverse), a)


def test_singular_matrices_have_no_inverse(level):
    """A singular matrix is a ValueError that gives its rank, and in a stack its place."""
    a = packed(oracle.of_rank(17, 70, 70, 40))
    with pytest.raises(ValueError, match="a: the matrix is singular, its rank is 40 of 70"):
        gf2.inverse(a)
    stack = np.stack([packed(np.eye(70, dtype=np.uint8)), a, a])
    with pytest.raises(ValueError, match="a: matrix 1 of the stack is singular, its rank is 40 of 70"):
        gf2.inverse(stack)
    np.testing.assert_array_equal(gf2.ranks(stack, 70), [70, 40, 40])


def test_all_small_matrices_are_inverted_or_refused(level):
    """Of all 512 matrices of 3 x 3 bits, the 168 invertible ones (the order of GL(3, 2)) have inverses."""
    numbers = np.arange(512)[:, np.newaxis] >> np.arange(9) & 1
    stack = packed(numbers.reshape(512, 3, 3).astype(np.uint8))
    full = stack[gf2.ranks(stack, 3) == 3]
    assert len(full) == 168
    identity = np.broadcast_to(packed(np.eye(3, dtype=np.uint8)), full.shape)
    np.testing.assert_array_equal(gf2.multiply(full, gf2.inverse(full), 3), identity)


def test_random_matrices_are_invertible_as_often_as_they_must(level):
    """About 0.2888 of large random square matrices have full rank: the product of 1 - 2^-k."""
    count = 2000
    ranks = gf2.ranks(packed(oracle.random(18, count, 32, 32)), 32)
    assert abs(np.mean(ranks == 32) - 0.2888) < 4 * (0.2888 * 0.7112 / count) ** 0.5


def test_empty_matrices(level):
    """Matrices without rows or columns have rank 0, forms, null spaces and inverses."""
    none, flat = np.empty((0, 2), np.uint64), np.empty((5, 0), np.uint64)
    assert gf2.rank(none, 100) == gf2.rank(flat, 0) == 0
    assert gf2.ranks(np.empty((0, 4, 1), np.uint64), 9).shape == (0,)
    reduced = gf2.row_reduce(flat, 0)
    assert (reduced.matrix.shape, reduced.rank) == ((5, 0), 0)
    np.testing.assert_array_equal(unpacked(reduced.transform, 5), np.eye(5))
    assert gf2.row_reduce(none, 100).transform.shape == (0, 0)
    np.testing.assert_array_equal(unpacked(gf2.null_space(none, 100), 100), np.eye(100))
    assert gf2.null_space(flat, 0).shape == (0, 0)
    assert gf2.inverse(np.empty((0, 0), np.uint64)).shape == (0, 0)
    solution = gf2.solve(none, np.empty((0, 1), np.uint64), 100, 3)
    assert (solution.x.shape, solution.x.any(), solution.rank, solution.unique) == ((100, 1), False, 0, False)
    assert gf2.solve(flat, np.zeros((5, 1), np.uint64), 0, 3).unique
    with pytest.raises(ValueError, match="rank 0, and no x gives column 1 of b"):
        gf2.solve(flat, np.full((5, 1), 2, np.uint64), 0, 3)


def test_excess_bits_are_ignored(level):
    """Bits past the width of a row change no result."""
    a, b = oracle.random(19, 70, 70), oracle.random(20, 70, 70)
    poison = np.array([0, 2**64 - 64], np.uint64)
    clean, dirty = gf2.row_reduce(packed(a), 70), gf2.row_reduce(packed(a) | poison, 70)
    np.testing.assert_array_equal(clean.matrix, dirty.matrix)
    np.testing.assert_array_equal(clean.transform, dirty.transform)
    right = product(a, b)
    x = gf2.solve(packed(a) | poison, packed(right) | poison, 70, 70).x
    np.testing.assert_array_equal(x, gf2.solve(packed(a), packed(right), 70, 70).x)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 150),
    columns=st.integers(1, 150),
    rank=st.integers(1, 100),
)
def test_elimination_obeys_its_laws(level, seed, rows, columns, rank):
    """Reducing twice changes nothing, rank is that of the transpose and of the form, and pivots are ones alone."""
    a = packed(oracle.of_rank(seed, rows, columns, rank))
    once = gf2.row_reduce(a, columns)
    np.testing.assert_array_equal(gf2.row_reduce(once.matrix, columns).matrix, once.matrix)
    assert once.rank <= rank
    assert once.rank == gf2.rank(gf2.transpose(a, columns), rows)
    assert len(gf2.null_space(a, columns)) + once.rank == columns
    ones = unpacked(once.matrix, columns)[:, once.pivots]
    np.testing.assert_array_equal(ones, np.eye(rows, once.rank, dtype=np.uint8))
    np.testing.assert_array_equal(gf2.multiply(gf2.inverse(once.transform), once.matrix, columns), a)


def test_levels_agree_to_the_bit():
    """Every supported level returns the bytes that the scalar level returns, transforms of deficient matrices too."""
    a, b = packed(oracle.of_rank(21, 333, 400, 250)), packed(oracle.random(22, 400, 99))
    right = gf2.multiply(a, b, 99)
    results = set()
    for level in liam_core.capabilities().supported:
        with liam_core.set_level(level):
            reduced = gf2.row_reduce(a, 400)
            parts = (
                reduced.matrix,
                reduced.pivots,
                reduced.transform,
                gf2.null_space(a, 400),
                gf2.solve(a, right, 400, 99).x,
            )
            results.add(b"".join(part.tobytes() for part in parts))
    assert len(results) == 1


WORDS = np.zeros((70, 2), np.uint64)
STACK = np.zeros((3, 70, 2), np.uint64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gf2.row_reduce(STACK, 70), "a: want 2 axes"),
        (lambda: gf2.row_reduce(WORDS, 200), "a: want 4 words"),
        (lambda: gf2.rank(STACK, 70), "a: want 2 axes"),
        (lambda: gf2.ranks(WORDS, 70), "a: want 3 axes"),
        (lambda: gf2.rank(WORDS, 70.0), "nbits: want an int"),
        (lambda: gf2.inverse(WORDS[:5].copy()), "a: want 1 words per row for 5 bits"),
        (lambda: gf2.inverse(WORDS[0]), "a: want 2 or 3 axes"),
        (lambda: gf2.inverse("a"), "a: want a NumPy array"),
        (lambda: gf2.solve(WORDS, WORDS[:9].copy(), 70, 70), "b: want 70 rows, as a has, got 9"),
        (lambda: gf2.solve(WORDS, WORDS, 70, 200), "b: want 4 words"),
        (lambda: gf2.solve(WORDS, WORDS, 70, "70"), "b_nbits: want an int"),
        (lambda: gf2.solve(WORDS, WORDS, 70, -1), "b_nbits: want an int"),
        (lambda: gf2.null_space(WORDS.view(np.int64), 70), "a: want dtype uint64"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
