"""GF(2) against galois, a library of finite fields that shares no code with the kernel, at every SIMD level."""

import numpy as np
import pytest

from liam_core import gf2
from tests.native import gf2_oracle as oracle
from tests.native.gf2_oracle import packed


@pytest.fixture(scope="module")
def field():
    """Return galois' field of two elements; importing it takes a second, which other tests need not wait for."""
    import galois

    return galois.GF2


@pytest.mark.parametrize("shape", [(40, 40), (30, 75), (75, 30)])
def test_results_agree_with_galois(level, field, shape):
    """Product, echelon form, rank and null space are what galois computes."""
    m, nbits = shape
    a = oracle.of_rank(1, m, nbits, 25) if m != nbits else oracle.random(2, m, nbits)
    b = oracle.random(3, nbits, 50)
    theirs = field(a)
    np.testing.assert_array_equal(gf2.multiply(packed(a), packed(b), 50), packed(np.asarray(theirs @ field(b))))
    np.testing.assert_array_equal(gf2.row_reduce(packed(a), nbits).matrix, packed(np.asarray(theirs.row_reduce())))
    assert gf2.rank(packed(a), nbits) == np.linalg.matrix_rank(theirs)
    mine = gf2.row_reduce(gf2.null_space(packed(a), nbits), nbits)
    np.testing.assert_array_equal(mine.matrix, packed(np.asarray(theirs.null_space().row_reduce())))


def test_systems_agree_with_galois(level, field):
    """Inverse and solution of a regular matrix are what galois computes."""
    seed = next(seed for seed in range(50) if gf2.rank(packed(oracle.random(seed, 60, 60)), 60) == 60)
    a, b = oracle.random(seed, 60, 60), oracle.random(99, 60, 1)
    np.testing.assert_array_equal(gf2.inverse(packed(a)), packed(np.asarray(np.linalg.inv(field(a)))))
    theirs = np.linalg.solve(field(a), field(b[:, 0]))
    np.testing.assert_array_equal(gf2.solve(packed(a), packed(b), 60, 1).x, packed(np.asarray(theirs)[:, np.newaxis]))
