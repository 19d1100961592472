"""Linear algebra over GF(2) in plain NumPy on matrices of zeros and ones, one byte an entry.

Independent of the package under test: no packed words, and elimination row by row with exchanges.
"""

import numpy as np
from numpy.typing import NDArray

from liam_core import pack, unpack

Matrix = NDArray[np.uint8]


def packed(a: Matrix) -> NDArray[np.uint64]:
    """Return packed rows, of a matrix or a stack."""
    rows = pack(np.ascontiguousarray(a, dtype=np.bool_).reshape(-1, a.shape[-1]))
    return rows.reshape(*a.shape[:-1], rows.shape[-1])


def unpacked(a: NDArray[np.uint64], nbits: int) -> Matrix:
    """Return zeros and ones."""
    rows = unpack(np.ascontiguousarray(a).reshape(-1, a.shape[-1]), nbits, np.uint8)
    return rows.reshape(*a.shape[:-1], nbits)


def product(a: Matrix, b: Matrix) -> Matrix:
    """Return the product, by float64, which is exact here."""
    return (np.rint(a.astype(np.float64) @ b.astype(np.float64)) % 2).astype(np.uint8)


def reduced(a: Matrix) -> tuple[Matrix, list[int]]:
    """Return the reduced row echelon form and its pivot columns."""
    out, pivots = a.copy(), []
    for column in range(a.shape[1]):
        row = len(pivots)
        ones = np.flatnonzero(out[row:, column]) + row
        if len(ones) == 0:
            continue
        out[[row, ones[0]]] = out[[ones[0], row]]
        others = out[:, column].astype(np.bool_)
        others[row] = False
        out[others] ^= out[row]
        pivots.append(column)
    return out, pivots


def first_independent_rows(a: Matrix) -> list[int]:
    """Return the rows that are no sum of rows before them: the pivot columns of the transpose."""
    return reduced(np.ascontiguousarray(a.T))[1]


def random(seed: int, *shape: int, density: float = 0.5) -> Matrix:
    """Return random zeros and ones."""
    return (np.random.default_rng(seed).random(shape) < density).astype(np.uint8)


def of_rank(seed: int, rows: int, columns: int, rank: int) -> Matrix:
    """Return a random matrix whose rank is at most `rank`."""
    return product(random(seed, rows, rank), random(seed + 1, rank, columns))


def companion(taps: list[int], size: int) -> Matrix:
    """Return the companion matrix of a linear feedback shift register: it shifts, and adds the taps."""
    out = np.zeros((size, size), np.uint8)
    out[np.arange(1, size), np.arange(size - 1)] = 1
    out[taps, -1] = 1
    return out


HAMMING = np.array([[1, 0, 1, 0, 1, 0, 1], [0, 1, 1, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1, 1]], np.uint8)


def golay() -> tuple[Matrix, Matrix]:
    """Return the generator (12, 23) and a parity check (11, 23) of the binary Golay code.

    Its generator polynomial is x^11 + x^10 + x^6 + x^5 + x^4 + x^2 + 1 (MacWilliams and Sloane, 16.2); the other
    factor of x^23 + 1 apart from x + 1 is its reciprocal, and the check polynomial is the product of those two.
    """
    generator = np.zeros(12, np.uint8)
    generator[[0, 2, 4, 5, 6, 10, 11]] = 1
    check = np.convolve(generator[::-1], [1, 1]) % 2
    rows = [np.roll(np.pad(generator, (0, 11)), k) for k in range(12)]
    checks = [np.roll(np.pad(check[::-1], (0, 10)), k) for k in range(11)]
    return np.array(rows, np.uint8), np.array(checks, np.uint8)
