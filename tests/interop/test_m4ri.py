"""GF(2) against libm4ri, the field's own library, at every SIMD level: it shares no code, algorithm or packing with ours.

Products, ranks, echelon forms and inverses are unique, so whole matrices are compared; solutions and null spaces are
compared by what defines them, with M4RI's own products and echelon forms.
"""

from collections.abc import Iterator

import numpy as np
import pytest

import liam_core
from bench.kernel.m4ri import M4ri, Matrix
from bench.kernel.peers import FOLDER
from liam_core import gf2
from tests.native import gf2_oracle as oracle


def words(bits: oracle.Matrix) -> np.ndarray:
    """Return packed rows by NumPy alone."""
    octets = np.packbits(bits, axis=1, bitorder="little")
    return np.pad(octets, ((0, 0), (0, -octets.shape[1] % 8))).view("<u8")


def unpacked(rows: np.ndarray, nbits: int) -> oracle.Matrix:
    """Return bits by NumPy alone."""
    return np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")[:, :nbits]


def triangles(seed: int, n: int) -> oracle.Matrix:
    """Return a random invertible matrix."""
    ones = np.eye(n, dtype=np.uint8)
    return oracle.product(np.tril(oracle.random(seed, n, n)) | ones, np.triu(oracle.random(seed + 1, n, n)) | ones)


MATRICES = {
    **{f"random {m} x {n}": oracle.random(m + n, m, n) for m, n in ((1, 1), (1, 333), (333, 1), (63, 65), (65, 63))},
    **{f"random {m} x {n}": oracle.random(m + n, m, n) for m, n in ((127, 1001), (1001, 127), (2, 4099), (1300, 1301))},
    **{f"invertible {n}": triangles(n, n) for n in (1, 7, 64, 65, 129, 500)},
    "rank 1": oracle.of_rank(1, 150, 141, 1),
    "rank 63": oracle.of_rank(2, 200, 191, 63),
    "rank 64 of 65": oracle.of_rank(3, 65, 65, 64),
    "rank 100, tall": oracle.of_rank(4, 901, 203, 100),
    "rank 100, wide": oracle.of_rank(5, 203, 901, 100),
    "zero": np.zeros((90, 131), np.uint8),
    "ones": np.ones((131, 90), np.uint8),
    "identity": np.eye(130, dtype=np.uint8),
    "permutation": np.eye(131, dtype=np.uint8)[np.random.default_rng(6).permutation(131)],
    "late pivots": np.pad(oracle.random(7, 90, 100), ((0, 0), (200, 0))),
    "sparse": oracle.random(8, 400, 301, density=0.01),
    "doubled": np.repeat(np.repeat(oracle.random(9, 90, 90), 2, axis=0), 2, axis=1),
    "lower triangle": np.tril(np.ones((140, 140), np.uint8)),
    "hamming": oracle.HAMMING,
    "golay": oracle.golay()[1],
    "shift register": oracle.companion([0, 3, 4, 5], 128),
}


@pytest.fixture(params=liam_core.capabilities().supported)
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Put each supported SIMD level into use for one run of the test."""
    with liam_core.set_level(request.param):
        yield request.param


@pytest.fixture(params=MATRICES.values(), ids=MATRICES.keys())
def matrix(request: pytest.FixtureRequest) -> oracle.Matrix:
    return np.ascontiguousarray(request.param)


@pytest.fixture(scope="session")
def m4ri() -> M4ri:
    return M4ri(FOLDER)


def given(m4ri: M4ri, bits: oracle.Matrix) -> Matrix:
    return m4ri.matrix(words(bits), bits.shape[1])


def multiplied(m4ri: M4ri, a: oracle.Matrix, b: np.ndarray, columns: int) -> np.ndarray:
    """Return M4RI's product of bits and packed rows."""
    out = m4ri.empty(len(a), columns)
    m4ri.multiply(given(m4ri, a), m4ri.matrix(b, columns), out)
    return out.packed()


@pytest.mark.parametrize("columns", [1, 65, 640])
def test_products_are_those_of_m4ri(level: str, m4ri: M4ri, matrix: oracle.Matrix, columns: int) -> None:
    """The product with a random matrix of few, odd and many columns has M4RI's bits."""
    right = words(oracle.random(columns, matrix.shape[1], columns))
    np.testing.assert_array_equal(gf2.multiply(words(matrix), right, columns), multiplied(m4ri, matrix, right, columns))


def test_echelon_forms_and_ranks_are_those_of_m4ri(level: str, m4ri: M4ri, matrix: oracle.Matrix) -> None:
    """The reduced row echelon form has M4RI's bits, and the rank is M4RI's, also of M4RI's unreduced form."""
    theirs, nbits = given(m4ri, matrix), matrix.shape[1]
    rank = m4ri.rank(theirs, m4ri.empty(*matrix.shape))
    assert m4ri.reduce(theirs) == rank
    ours = gf2.row_reduce(words(matrix), nbits)
    np.testing.assert_array_equal(ours.matrix, theirs.packed())
    assert (ours.rank, gf2.rank(words(matrix), nbits)) == (rank, rank)
    transform = unpacked(ours.transform, len(matrix))
    np.testing.assert_array_equal(multiplied(m4ri, transform, words(matrix), nbits), ours.matrix)


@pytest.mark.parametrize("name", [name for name, matrix in MATRICES.items() if matrix.shape[0] == matrix.shape[1]])
def test_inverses_are_those_of_m4ri(level: str, m4ri: M4ri, name: str) -> None:
    """An inverse has M4RI's bits; where M4RI finds too small a rank, the refusal gives it."""
    matrix, n = MATRICES[name], len(MATRICES[name])
    rank = m4ri.rank(given(m4ri, matrix), m4ri.empty(n, n))
    if rank < n:
        with pytest.raises(ValueError, match=f"a: the matrix is singular, its rank is {rank} of {n}"):
            gf2.inverse(words(matrix))
        return
    theirs = m4ri.empty(n, n)
    m4ri.invert(given(m4ri, matrix), theirs)
    np.testing.assert_array_equal(gf2.inverse(words(matrix)), theirs.packed())


def test_the_inverted_are_many() -> None:
    """Enough of the square matrices are invertible, and enough are not, for the comparison to mean something."""
    full = [len(oracle.reduced(one)[1]) == len(one) for one in MATRICES.values() if len(one) == one.shape[1]]
    assert (sum(full) >= 8, full.count(False) >= 2) == (True, True)


def test_null_spaces_are_those_of_m4ri(level: str, m4ri: M4ri, matrix: oracle.Matrix) -> None:
    """The dimension is M4RI's, and both bases have one echelon form, by M4RI: they span the same vectors."""
    nbits = matrix.shape[1]
    ours = gf2.null_space(words(matrix), nbits)
    theirs = m4ri.null_space(given(m4ri, matrix))
    assert len(ours) == (0 if theirs is None else theirs.columns)
    if theirs is None:
        return
    columns = unpacked(theirs.packed(), theirs.columns)
    basis, mine = given(m4ri, np.ascontiguousarray(columns.T)), m4ri.matrix(ours, nbits)
    assert m4ri.reduce(basis) == m4ri.reduce(mine) == len(ours)
    np.testing.assert_array_equal(mine.packed(), basis.packed())


@pytest.mark.parametrize("columns", [1, 67])
def test_systems_are_solved_where_m4ri_solves_them(level: str, m4ri: M4ri, matrix: oracle.Matrix, columns: int) -> None:
    """Right sides made from a solution are solved by both, as M4RI's product says; a unique solution is M4RI's."""
    m, nbits = matrix.shape
    right = oracle.product(matrix, oracle.random(columns, nbits, columns))
    solution = gf2.solve(words(matrix), words(right), nbits, columns)
    np.testing.assert_array_equal(multiplied(m4ri, matrix, solution.x, columns), words(right))
    theirs = given(m4ri, np.pad(right, ((0, max(m, nbits) - m), (0, 0))))
    assert m4ri.solve(given(m4ri, matrix), theirs)
    assert solution.rank == m4ri.rank(given(m4ri, matrix), m4ri.empty(m, nbits))
    assert solution.unique == (solution.rank == nbits)
    if solution.unique:
        np.testing.assert_array_equal(solution.x, theirs.packed()[:nbits])


def test_systems_are_refused_where_m4ri_refuses_them(level: str, m4ri: M4ri, matrix: oracle.Matrix) -> None:
    """Of random right sides, one by one, ours and M4RI find the same ones to have no solution."""
    m, nbits = matrix.shape
    for seed in range(4):
        right = oracle.random(seed, m, 1)
        solvable = m4ri.solve(given(m4ri, matrix), given(m4ri, np.pad(right, ((0, max(m, nbits) - m), (0, 0)))))
        if solvable:
            gf2.solve(words(matrix), words(right), nbits, 1)
        else:
            with pytest.raises(ValueError, match="b: the system is inconsistent"):
                gf2.solve(words(matrix), words(right), nbits, 1)
