"""Dense matrix algebra over float64 with checked arguments, and the bits of 64-bit integers.

Exact or backward stable, vectorised, and loud: what has no answer is refused with a reason, what would
overflow is refused and not returned as infinity. The bit-packed products of the C kernel are elsewhere in the
package.

All matrices may be given as arrays or nested lists of integers or floats; they are computed in float64 and
results are new arrays. "Singular" means numerically singular, as defined in `liam_core.spectrum`. Integer
arguments up to 2**53 are exact, and so are products and sums of them as long as these stay below 2**53.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liam_core import spectrum
from liam_core.arguments import Float64Array, integer, numeric_array, real_array, representable, square_matrix

WORD_BITS: Final = 64

# The rounding of `matrix @ x` grows with x, of which only the minimum-norm part shows in the product. This is
# how many times longer the x behind a right-hand side may be for the system still to count as consistent.
_UNSEEN_SOLUTION: Final = 1024


class SpectralDecomposition(NamedTuple):
    """`matrix == eigenvectors @ diag(eigenvalues) @ eigenvectors.T` of a symmetric (n, n) matrix."""

    eigenvalues: Float64Array
    """(n,), descending."""
    eigenvectors: Float64Array
    """(n, n), orthonormal columns; each column's largest element is positive."""


class SvdCompression(NamedTuple):
    """The best approximation of an (m, n) matrix by one of rank k, and its factors."""

    left: Float64Array
    """(m, k), orthonormal columns; each column's largest element is positive."""
    singular_values: Float64Array
    """(k,), descending."""
    right: Float64Array
    """(k, n), orthonormal rows."""
    approximation: Float64Array
    """(m, n), `left * singular_values @ right`."""
    compression_ratio: float
    """Numbers in the matrix per number in its factors, `m n / (k (m + n + 1))`; below 1 these are larger."""
    energy_kept: float
    """Sum of the k squared singular values over the sum of all, in [0, 1]; 1.0 for the zero matrix."""


class BinaryAlgebra:
    """Matrix operations and two's complement bits; it holds no state, so one instance serves all threads."""

    def transform_matrix(self, matrix: ArrayLike, transform: ArrayLike) -> Float64Array:
        """Return `transform @ matrix @ transform.T`, float64 (m, m).

        The matrix of a quadratic form or covariance after the linear map x -> transform @ x; for an
        orthogonal `transform`, the matrix in the new basis.

        Args:
            matrix: (n, n).
            transform: (m, n).

        Raises:
            ValueError: bad argument, shapes that do not fit, or a result beyond float64.
        """
        square, rows = square_matrix("matrix", matrix), real_array("transform", transform, ndim=2)
        if rows.shape[1] != len(square):
            raise ValueError(f"transform: want shape (m, {len(square)}) to fit matrix, got {rows.shape}")
        with np.errstate(over="ignore", invalid="ignore"):
            return representable("matrix, transform", rows @ square @ rows.T)

    def binary_encode(self, values: ArrayLike) -> NDArray[np.uint8]:
        """Return the 64-bit two's complement bits of integers, uint8 (..., 64) of 0 and 1.

        Bit i of the last axis has the weight 2**i (least significant first); bit 63 is the sign, weight
        -2**63.

        Args:
            values: Integers of any dtype and shape (...), or floats that are integers; -0.0 encodes as 0. May
                be empty or a scalar.

        Raises:
            ValueError: bools, another dtype, floats that are not integers, NaN, infinity, or values outside
                [-2**63, 2**63 - 1].
        """
        words = _int64_array("values", values).astype("<i8", order="C")
        return np.unpackbits(words[..., np.newaxis].view(np.uint8), axis=-1, bitorder="little")

    def binary_decode(self, bits: ArrayLike) -> NDArray[np.int64]:
        """Return the integers, int64 (...), whose bits `binary_encode` would give; its exact inverse.

        Args:
            bits: Integers 0 and 1 of any integer dtype, shape (..., 64), least significant first.

        Raises:
            ValueError: bools, floats, another shape, or elements other than 0 and 1.
        """
        array = numeric_array("bits", bits)
        if array.ndim == 0 or array.shape[-1] != WORD_BITS:
            raise ValueError(f"bits: want shape (..., {WORD_BITS}), got {array.shape}")
        if array.dtype.kind == "f":
            raise ValueError(f"bits: want integers 0 and 1, got dtype {array.dtype}")
        if not ((array == 0) | (array == 1)).all():
            raise ValueError("bits: holds elements other than 0 and 1")
        octets = np.packbits(array.astype(np.uint8), axis=-1, bitorder="little")
        return np.ascontiguousarray(octets).view("<i8")[..., 0].astype(np.int64)

    def hadamard_product(self, left: ArrayLike, right: ArrayLike) -> Float64Array:
        """Return the elementwise product of two arrays of one shape (no broadcasting), float64 of that shape.

        Raises:
            ValueError: bad argument, different shapes, or a result beyond float64.
        """
        first, second = real_array("left", left), real_array("right", right)
        if first.shape != second.shape:
            raise ValueError(f"right: want the shape of left, {first.shape}, got {second.shape}")
        with np.errstate(over="ignore"):
            return representable("left, right", first * second)

    def kronecker_product(self, left: ArrayLike, right: ArrayLike) -> Float64Array:
        """Return the Kronecker product, float64 (m p, n q), of matrices (m, n) and (p, q).

        Element [i p + k, j q + l] is `left[i, j] * right[k, l]`.

        Raises:
            ValueError: bad argument, or a result beyond float64.
        """
        first, second = real_array("left", left, ndim=2), real_array("right", right, ndim=2)
        with np.errstate(over="ignore"):
            return representable("left, right", np.kron(first, second))

    def outer_product(self, left: ArrayLike, right: ArrayLike) -> Float64Array:
        """Return `left right^T`, float64 (m, n), of vectors (m,) and (n,).

        Raises:
            ValueError: bad argument, or a result beyond float64.
        """
        first, second = real_array("left", left, ndim=1), real_array("right", right, ndim=1)
        with np.errstate(over="ignore"):
            return representable("left, right", np.multiply.outer(first, second))

    def frobenius_norm(self, matrix: ArrayLike) -> float:
        """Return the root of the sum of squares of a matrix (m, n); squares neither overflow nor vanish.

        Raises:
            ValueError: bad argument, or a norm beyond float64.
        """
        norm = spectrum.frobenius_norm(real_array("matrix", matrix, ndim=2))
        return float(representable("matrix", np.float64(norm)))

    def spectral_decomposition(self, matrix: ArrayLike) -> SpectralDecomposition:
        """Return eigenvalues, descending, and orthonormal eigenvectors of a symmetric matrix (n, n).

        Signs are fixed by making each eigenvector's largest element positive (the first of several); within
        an eigenspace of several dimensions the basis is LAPACK's. Asymmetry up to `n * eps * max|matrix|` is
        averaged away.

        Raises:
            ValueError: bad argument, not square, not symmetric, or an eigenvalue beyond float64.
        """
        found = spectrum.symmetric_spectrum("matrix", square_matrix("matrix", matrix))
        values = representable("matrix", spectrum.scale_up(found.values, found.exponent))
        return SpectralDecomposition(values, found.vectors)

    def svd_compress(self, matrix: ArrayLike, rank: int) -> SvdCompression:
        """Return the best approximation by rank `rank` of a matrix (m, n) in Frobenius and spectral norm.

        The truncated singular value decomposition (Eckart and Young, Psychometrika 1, 1936). Signs are fixed
        by making the largest element of each left vector positive.

        Args:
            matrix: (m, n).
            rank: 1 ... min(m, n).

        Raises:
            ValueError: bad argument, rank out of range, or a result beyond float64.
        """
        checked = real_array("matrix", matrix, ndim=2)
        rows, columns = checked.shape
        kept = integer("rank", rank, minimum=1)
        if kept > min(rows, columns):
            raise ValueError(f"rank: want at most {min(rows, columns)} for shape {checked.shape}, got {kept}")
        scaled, exponent = spectrum.scale_down(checked)
        left, values, right = np.linalg.svd(scaled, full_matrices=False)
        signs = spectrum.orientation(left[:, :kept])
        # Adding zero turns the -0.0 that a flipped sign leaves into 0.0.
        left, right = left[:, :kept] * signs + 0.0, right[:kept] * signs[:, np.newaxis] + 0.0
        energy = np.cumsum(np.square(values))
        return SvdCompression(
            left=left,
            singular_values=representable("matrix", spectrum.scale_up(values[:kept], exponent)),
            right=right,
            approximation=representable("matrix", spectrum.scale_up(left * values[:kept] @ right, exponent)),
            compression_ratio=rows * columns / (kept * (rows + columns + 1)),
            energy_kept=float(energy[kept - 1] / energy[-1]) if energy[-1] > 0.0 else 1.0,
        )

    def matrix_power(self, matrix: ArrayLike, exponent: int) -> Float64Array:
        """Return a matrix (n, n) to an integer power, float64 (n, n), by repeated squaring.

        The power 0 is the identity, of singular matrices too; a negative power is the power of the inverse.

        Raises:
            ValueError: bad argument, a negative power of a singular matrix, or a result beyond float64.
        """
        base, power = square_matrix("matrix", matrix), integer("exponent", exponent)
        if power < 0:
            magnitudes = np.linalg.svd(spectrum.scale_down(base)[0], compute_uv=False)
            if not spectrum.nonzero(magnitudes, len(base)).all():
                raise ValueError(f"matrix: {_singularity(magnitudes)}, so it has no power {power}")
        with np.errstate(over="ignore", invalid="ignore"):
            return representable("matrix", np.linalg.matrix_power(base, power))

    def solve_linear_system(self, matrix: ArrayLike, rhs: ArrayLike) -> Float64Array:
        """Return x with `matrix @ x == rhs`, float64 of the shape of `rhs`, by LU with partial pivoting.

        Args:
            matrix: (n, n).
            rhs: (n,), or (n, k) for k systems at once.

        Raises:
            ValueError: bad argument, shapes that do not fit, a result beyond float64, or a singular matrix.
                For the last, the message gives the condition number and says whether the system is
                inconsistent (no solution) or consistent (infinitely many). It counts as consistent when, for
                its minimum-norm solution x, the part of `rhs` outside the range of `matrix` is at most
                `1024 * n * eps * (sigma_max |x| + |rhs|)`: the backward error of Rigal and Gaches (J. ACM
                14(3), 1967), with room for an `rhs` that was computed from a longer solution.
        """
        square, sides = square_matrix("matrix", matrix), real_array("rhs", rhs)
        if sides.ndim not in (1, 2) or len(sides) != len(square):
            size = len(square)
            raise ValueError(f"rhs: want shape ({size},) or ({size}, k), got {sides.shape}")
        left, magnitudes, right = np.linalg.svd(spectrum.scale_down(square)[0])
        significant = spectrum.nonzero(magnitudes, len(square))
        if not significant.all():
            scaled = spectrum.scale_down(sides)[0].reshape(len(square), -1)
            solution = right[significant].T @ (left[:, significant].T @ scaled / magnitudes[significant, np.newaxis])
            outside = np.linalg.norm(left[:, ~significant].T @ scaled, axis=0)
            scale = magnitudes[0] * np.linalg.norm(solution, axis=0) + np.linalg.norm(scaled, axis=0)
            consistent = (outside <= _UNSEEN_SOLUTION * len(square) * spectrum.EPSILON * scale).all()
            verdict = (
                "rhs is consistent with it: infinitely many solutions"
                if consistent
                else "rhs is inconsistent with it: no solution"
            )
            raise ValueError(f"matrix: {_singularity(magnitudes)}; {verdict}")
        with np.errstate(over="ignore", invalid="ignore"):
            return representable("matrix, rhs", np.linalg.solve(square, sides))


def _singularity(magnitudes: NDArray[np.floating[Any]]) -> str:
    size = len(magnitudes)
    rank = int(spectrum.nonzero(magnitudes, size).sum())
    return f"singular (rank {rank} of {size}, condition number {spectrum.condition_number(magnitudes):.3g})"


def _int64_array(name: str, value: object) -> NDArray[Any]:
    array = numeric_array(name, value)
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: holds NaN or infinity")
        if (array != np.trunc(array)).any():
            raise ValueError(f"{name}: holds floats that are not integers")
    # Python integers compare exactly with both floats and uint64.
    if int(array.max()) >= 2**63 or int(array.min()) < -(2**63):
        raise ValueError(f"{name}: holds values outside the int64 range [-2**63, 2**63 - 1]")
    return array.astype(np.int64)
