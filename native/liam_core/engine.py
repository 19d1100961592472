"""The labor intelligence engine: named productivity figures as vectors, their covariance, and what it shows.

This is the small dense-algebra surface of the package, in NumPy; it is not the labor array (deterministic
batch jobs), and it never calls the C kernel.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from liam_core import spectrum
from liam_core.arguments import Float64Array, integer, real_array, real_scalar, representable, square_matrix

METRICS: Final = (
    "productivity",
    "efficiency",
    "quality",
    "throughput",
    "utilization",
    "latency",
    "error_rate",
    "completion_rate",
)
"""The metrics in the order of their coordinates, before the rotation. The order is part of the interface."""

DOMINANT_SHARE: Final = 0.95
"""The share of the variance that the dominant patterns explain together."""


class LaborPatterns(TypedDict):
    """What `LaborIntelligenceEngine.analyze_intelligence_patterns` finds in an (n, n) matrix.

    All arrays are float64, all figures Python numbers.
    """

    eigenvalues: Float64Array
    """(n,), descending; round-off may leave eigenvalues of a singular covariance slightly below zero."""
    explained_variance: Float64Array
    """(n,), `|eigenvalue| / sum |eigenvalues|`, for a covariance its share of the trace; zeros for zeros."""
    dominant_patterns: Float64Array
    """(n, k), unit eigenvectors in columns: the fewest, largest share first, that reach DOMINANT_SHARE."""
    trace: float
    """The sum of the diagonal."""
    determinant: float
    """The product of the eigenvalues; 0.0 exactly where rank < n, infinite where it exceeds float64."""
    rank: int
    """The number of eigenvalues with `|eigenvalue| > n * eps * max |eigenvalue|`."""
    condition_number: float
    """Largest / smallest magnitude among the `rank` non-zero eigenvalues; infinite for the zero matrix."""
    frobenius_norm: float
    """The root of the sum of squared elements."""


class LaborIntelligenceEngine:
    """Turns labor metrics into vectors of one fixed length and analyses their covariance.

    The eight `METRICS` are padded with zeros to `dimensions` and rotated by an orthogonal matrix Q drawn from
    the Haar (uniform) distribution: the QR decomposition of a Gaussian matrix with the signs of R's diagonal
    moved into Q (Mezzadri, How to generate random matrices from the classical compact groups, Notices of the
    AMS 54(5), 2007). Q depends on (dimensions, seed) only: two engines of one NumPy and LAPACK build hold the
    same bytes; another build may differ in the last bits. A rotation keeps lengths, angles and spectra.

    Args:
        dimensions: Length of a tensor, at least 8.
        seed: Seed of the rotation, at least 0.

    Raises:
        ValueError: `dimensions` or `seed` is not an integer or too small.
    """

    def __init__(self, dimensions: int = 64, seed: int = 0) -> None:
        self._dimensions = integer("dimensions", dimensions, minimum=len(METRICS))
        self._seed = integer("seed", seed, minimum=0)
        gaussian = np.random.default_rng(self._seed).standard_normal((self._dimensions, self._dimensions))
        orthogonal, upper = np.linalg.qr(gaussian)
        self._rotation = orthogonal * np.where(np.diagonal(upper) < 0.0, -1.0, 1.0)
        self._rotation.flags.writeable = False

    @property
    def dimensions(self) -> int:
        """The length of a tensor."""
        return self._dimensions

    @property
    def seed(self) -> int:
        """The seed of the rotation."""
        return self._seed

    @property
    def rotation(self) -> Float64Array:
        """The orthogonal matrix Q, float64 (dimensions, dimensions), read-only; tensor = Q @ padded data."""
        return self._rotation

    def ingest_labor_data(self, data: Mapping[str, float]) -> Float64Array:
        """Return the tensor of one set of metrics, float64 (dimensions,).

        Args:
            data: Finite real numbers by metric name; absent metrics are zero.

        Raises:
            ValueError: `data` is no mapping, names an unknown metric, or holds a bool, a non-number, NaN,
                infinity or a number beyond float64.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"data: want a mapping of metric names to numbers, got {type(data).__name__}")  # noqa: TRY004 - one error type
        unknown = sorted(str(key) for key in data.keys() - set(METRICS))
        if unknown:
            raise ValueError(f"data: unknown metrics {', '.join(unknown)}; known are {', '.join(METRICS)}")
        metrics = np.array([real_scalar(f"data[{metric!r}]", data.get(metric, 0.0)) for metric in METRICS])
        with np.errstate(over="ignore", invalid="ignore"):
            tensor = self._rotation[:, : len(METRICS)] @ metrics
        return representable("data", tensor)

    def compute_labor_matrix(self, tensors: Sequence[ArrayLike]) -> Float64Array:
        """Return the labor matrix of some tensors, float64 (dimensions, dimensions), exactly symmetric.

        For two or more tensors x_1 ... x_n it is their sample covariance with ddof = 1,
        `sum (x_i - mean)(x_i - mean)^T / (n - 1)`. For a single tensor, which has none, it is the second
        moment about zero, `x x^T`. Deviations are taken from the first tensor before the mean is subtracted
        (Chan, Golub and LeVeque, Algorithms for computing the sample variance, The American Statistician
        37(3), 1983), so equal tensors have a covariance of exactly zero.

        Args:
            tensors: A sequence of vectors (dimensions,), or an array (n, dimensions); at least one.

        Raises:
            ValueError: no tensors, a tensor of another shape or dtype, NaN or infinity, or products beyond
                float64.
        """
        scalar = isinstance(tensors, np.ndarray) and tensors.ndim == 0
        if scalar or not isinstance(tensors, Sequence | np.ndarray):
            raise ValueError(f"tensors: want a sequence of vectors, got {type(tensors).__name__}")
        if len(tensors) == 0:
            raise ValueError("tensors: want at least one vector, got none")
        rows = np.stack([self._checked_tensor(index, tensor) for index, tensor in enumerate(tensors)])
        with np.errstate(over="ignore", invalid="ignore"):
            if len(rows) > 1:
                rows = rows - rows[0]
                rows = rows - rows.mean(axis=0)
            matrix = rows.T @ rows / max(len(rows) - 1, 1)
        lower = np.tril(representable("tensors", matrix))
        return lower + np.tril(lower, -1).T

    def _checked_tensor(self, index: int, tensor: ArrayLike) -> Float64Array:
        name = f"tensors[{index}]"
        vector = real_array(name, tensor, ndim=1)
        if vector.shape != (self._dimensions,):
            raise ValueError(f"{name}: want shape ({self._dimensions},), got {vector.shape}")
        return vector

    def analyze_intelligence_patterns(self, matrix: ArrayLike) -> LaborPatterns:
        """Return the spectrum of a symmetric matrix (n, n) of any n >= 1, and what follows from it.

        "Zero" means at most `n * eps * max |eigenvalue|`, as in `numpy.linalg.matrix_rank`; its source is
        given in `liam_core.spectrum`. The zero matrix has rank 0, no dominant patterns (shape (n, 0)),
        explained variances of zero and, as in `numpy.linalg.cond`, an infinite condition number. An
        eigenvector's sign makes its largest element positive; within an eigenspace of several dimensions the
        basis is LAPACK's.

        Raises:
            ValueError: not a finite, symmetric, non-empty square matrix of numbers, or a norm beyond float64.
        """
        checked = square_matrix("matrix", matrix)
        found = spectrum.symmetric_spectrum("matrix", checked)
        magnitudes = np.abs(found.values)
        significant = spectrum.nonzero(magnitudes, len(checked))
        rank = int(significant.sum())
        shares = magnitudes / magnitudes.sum() if rank else np.zeros_like(magnitudes)
        by_share = np.argsort(-shares, kind="stable")
        # The slack keeps the count from hanging on the last bit of the running sum.
        short_of_share = np.cumsum(shares[by_share]) < DOMINANT_SHARE - len(checked) * spectrum.EPSILON
        dominant = by_share[: int(short_of_share.sum()) + 1 if rank else 0]
        scaled_trace = np.ldexp(np.diagonal(checked), -found.exponent).sum()
        figures = np.array([spectrum.frobenius_norm(checked), spectrum.scale_up(scaled_trace, found.exponent)])
        norm, trace = representable("matrix", figures).tolist()
        return LaborPatterns(
            eigenvalues=spectrum.scale_up(found.values, found.exponent),
            explained_variance=shares,
            dominant_patterns=found.vectors[:, dominant],
            trace=trace,
            determinant=spectrum.product(found.values, found.exponent) if rank == len(checked) else 0.0,
            rank=rank,
            condition_number=spectrum.condition_number(magnitudes[significant]),
            frobenius_norm=norm,
        )
