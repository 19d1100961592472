"""What a matrix's spectrum says numerically: rank, condition, symmetric eigenpairs, norm, determinant.

One definition of "numerically zero" for the whole package. A singular value (for a symmetric matrix: an
eigenvalue's magnitude) counts as zero when it is at most

    max(m, n) * eps * sigma_max,    eps = 2**-52,

the default of MATLAB's `rank` and of `numpy.linalg.matrix_rank` (Golub and Van Loan, Matrix Computations, 4th
ed., section 5.4.1; Press et al., Numerical Recipes, 3rd ed., page 795). It is the size of the errors that
a backward stable SVD makes in the singular values, so anything below it carries no information.

Everything is computed on the matrix divided by a power of two that brings its largest element into [0.5, 1).
The division is exact, and neither squares nor tolerances overflow or vanish for matrices near the ends of
float64. Arguments are trusted here; callers check them with `arguments`.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from liam_core.arguments import Float64Array

EPSILON: Final = float(np.finfo(np.float64).eps)

# Elements this close (relatively) to a vector's largest count as equally large when its sign is chosen: a
# vector such as (1, -1)/sqrt(2) must not flip with the last bit of its elements.
_SIGN_TIE: Final = 2.0**-20

# Mantissas lie in [0.5, 1), so the product of this many stays far above the smallest float64 (2**-1074).
_PRODUCT_BLOCK: Final = 512


class SymmetricSpectrum(NamedTuple):
    """Eigenpairs of a symmetric (n, n) matrix: `values * 2**exponent` descending, `vectors` in columns."""

    values: Float64Array
    vectors: Float64Array
    exponent: int


def scale_down(array: Float64Array) -> tuple[Float64Array, int]:
    """Return `(array / 2**exponent, exponent)` with the largest magnitude in [0.5, 1); zeros as they are."""
    exponent = int(np.frexp(np.abs(array).max())[1])
    return np.ldexp(array, -exponent), exponent


def scale_up(array: Float64Array, exponent: int) -> Float64Array:
    """Return `array * 2**exponent`; infinite, without a warning, where that exceeds float64."""
    with np.errstate(over="ignore"):
        return np.ldexp(array, exponent)


def orientation(vectors: Float64Array) -> Float64Array:
    """Return the signs (k,) that make the largest element of each column of `vectors` (n, k) positive.

    Of several equally large elements the first decides, so that the result does not depend on the sign that
    LAPACK happens to return.
    """
    magnitudes = np.abs(vectors)
    leading = (magnitudes >= magnitudes.max(axis=0) * (1.0 - _SIGN_TIE)).argmax(axis=0)
    return np.where(vectors[leading, np.arange(vectors.shape[1])] < 0.0, -1.0, 1.0)


def symmetric_spectrum(name: str, matrix: Float64Array) -> SymmetricSpectrum:
    """Return the eigenpairs of a symmetric matrix (n, n), largest eigenvalue first, signs by `orientation`.

    Asymmetry up to `n * eps * max|matrix|`, which is what forming a symmetric product in floating point
    leaves, is averaged away.

    Raises:
        ValueError: the matrix is not symmetric.
    """
    scaled, exponent = scale_down(matrix)
    largest, allowed = float(np.abs(scaled).max()), len(scaled) * EPSILON
    asymmetry = float(np.abs(scaled - scaled.T).max())
    if asymmetry > allowed * largest:
        raise ValueError(
            f"{name}: not symmetric, it differs from its transpose by {asymmetry / largest:.3g} of its "
            f"largest element (allowed: {allowed:.3g})"
        )
    ascending, columns = np.linalg.eigh(0.5 * scaled + 0.5 * scaled.T)
    vectors = columns[:, ::-1]
    # Adding zero turns the -0.0 that a flipped sign leaves into 0.0.
    return SymmetricSpectrum(ascending[::-1].copy(), vectors * orientation(vectors) + 0.0, exponent)


def nonzero(magnitudes: NDArray[np.floating[Any]], size: int) -> NDArray[np.bool_]:
    """Return which of the singular values are numerically non-zero (see the module's text).

    Args:
        magnitudes: Singular values, or magnitudes of a symmetric matrix's eigenvalues, in any order and
            scale.
        size: The larger side of their matrix.
    """
    significant: NDArray[np.bool_] = magnitudes > size * EPSILON * magnitudes.max()
    return significant


def condition_number(magnitudes: NDArray[np.floating[Any]]) -> float:
    """Return largest / smallest of the given singular values; infinite for none, or if the smallest is 0."""
    if magnitudes.size == 0 or magnitudes.min() == 0.0:
        return math.inf
    with np.errstate(over="ignore"):
        return float(magnitudes.max() / magnitudes.min())


def frobenius_norm(matrix: Float64Array) -> float:
    """Return the root of the sum of squares; infinite only where the norm itself exceeds float64."""
    scaled, exponent = scale_down(matrix)
    return float(scale_up(np.sqrt(np.square(scaled).sum()), exponent))


def product(values: Float64Array, exponent: int) -> float:
    """Return the product of all `values * 2**exponent`, with no overflow or underflow before the last step.

    A product beyond float64 is infinite or zero with the right sign; no warning.
    """
    total = exponent * values.size
    mantissas, exponents = np.frexp(values)
    total += int(exponents.sum())
    while mantissas.size > 1:
        blocks = np.pad(mantissas, (0, -mantissas.size % _PRODUCT_BLOCK), constant_values=1.0)
        mantissas, exponents = np.frexp(blocks.reshape(-1, _PRODUCT_BLOCK).prod(axis=1))
        total += int(exponents.sum())
    mantissa = float(mantissas[0])
    try:
        return math.ldexp(mantissa, total)
    except OverflowError:
        return math.copysign(math.inf, mantissa)
