"""Distances and products of bits against NumKong, at every SIMD level, for widths of whole bytes, which is what it takes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import liam_core
from bench.kernel import peers
from liam_core import BinaryCodes, XnorWeights, popcount

SHAPES = [(1, 1, 8), (3, 17, 24), (2, 40, 64), (9, 33, 72), (16, 31, 200), (33, 65, 512), (7, 50, 1000), (5, 20, 8200)]


@pytest.fixture(params=liam_core.capabilities().supported)
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Put each supported SIMD level into use for one run of the test."""
    with liam_core.set_level(request.param):
        yield request.param


@pytest.fixture(scope="session")
def numkong() -> Any:
    peers.add_folder()
    return peers.load("numkong")


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_and_products_are_those_of_numkong(level: str, numkong: Any, shape: tuple[int, int, int]) -> None:
    """Hamming distances and counts of common ones are equal, Jaccard distances up to the last bit of a quotient."""
    m, n, nbits = shape
    random = np.random.default_rng(sum(shape))
    octets = [random.integers(0, 256, (rows, nbits // 8), dtype=np.uint8) for rows in (m, n)]
    octets[0][0] = octets[1][0] = 0  # two empty codes are at a distance of 0
    queries, rows = (np.pad(side, ((0, 0), (0, -side.shape[1] % 8))).view("<u8") for side in octets)
    theirs, for_hammings = numkong.Tensor(octets[0], dtype="uint1"), numkong.hammings_pack(octets[1], dtype="uint1")

    codes = BinaryCodes(rows, nbits)
    hammings = np.asarray(numkong.hammings_packed(theirs, for_hammings))
    np.testing.assert_array_equal(codes.distances(queries), hammings)
    np.testing.assert_array_equal(codes.distances(queries, "dot"), nbits - 2 * hammings.astype(np.int64))
    jaccards = np.asarray(numkong.jaccards_packed(theirs, for_hammings))
    np.testing.assert_allclose(codes.distances(queries, "jaccard"), jaccards, rtol=3e-7, atol=0)

    common = np.asarray(numkong.dots_packed(theirs, numkong.dots_pack(octets[1], dtype="uint1"))).astype(np.int64)
    ones = [popcount(side, nbits).astype(np.int64) for side in (queries, rows)]
    products = nbits - 2 * (ones[0][:, None] + ones[1] - 2 * common)
    np.testing.assert_array_equal(XnorWeights(rows, nbits).dot(queries), products)
