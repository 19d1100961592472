"""The algebra under test, the matrices that its tests draw, and the exact oracle and the refusal they compare with."""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from liam_core import BinaryAlgebra

EPSILON = 2.0**-52

algebra = BinaryAlgebra()

small_integers = st.integers(-1000, 1000)

sides = st.integers(1, 7)


def integer_matrix(rows, columns):
    """Return a strategy for matrices of small integers, in which float64 products are exact."""
    return npst.arrays(np.int64, (rows, columns), elements=small_integers)


def exact(array):
    """Return the array with Python integers as elements, whose products never round."""
    return np.asarray(array).astype(object)


def gaussian(seed, *shape):
    """Return standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape)


def refusal(call, *arguments):
    """Return the message of the `ValueError` that the call must raise."""
    with pytest.raises(ValueError) as refused:
        call(*arguments)
    return str(refused.value)
