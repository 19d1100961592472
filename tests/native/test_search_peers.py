"""Hamming search against FAISS, which shares no code with the kernel. Its order among equal distances is its own."""

import faiss
import numpy as np
import pytest

from liam_core import BinaryCodes


def random_octets(seed, rows, nbits):
    """Return random rows of whole bytes, which is what FAISS takes."""
    return np.random.default_rng(seed).integers(0, 256, (rows, nbits // 8), dtype=np.uint8)


def words(octets):
    """Return packed rows by NumPy alone."""
    return np.pad(octets, ((0, 0), (0, -octets.shape[1] % 8))).view("<u8")


@pytest.fixture(params=[8, 24, 64, 72, 128, 200, 256, 320, 512, 1000, 1024])
def case(request):
    """Return queries in bytes, the codes, and a FAISS index of the same codes."""
    nbits = request.param
    queries, rows = random_octets(1, 21, nbits), random_octets(2, 3000, nbits)
    rows[100:120] = rows[0]  # ties
    queries[0] = rows[0]
    index = faiss.IndexBinaryFlat(nbits)
    index.add(rows)
    return queries, BinaryCodes(words(rows), nbits), index


@pytest.mark.parametrize("k", [1, 10, 100])
def test_the_nearest_are_those_of_faiss(level, case, k):
    """Distances are equal, and so are the codes below the k-th distance; at that distance any will do."""
    queries, codes, index = case
    distances, ids = index.search(queries, k)
    found = codes.top_k(words(queries), k)
    np.testing.assert_array_equal(found.distances, distances)
    for i in range(len(queries)):
        sure = distances[i] < distances[i, -1]
        mine = set(zip(found.distances[i][sure].tolist(), found.positions[i][sure].tolist(), strict=True))
        assert mine == set(zip(distances[i][sure].tolist(), ids[i][sure].tolist(), strict=True))


def test_matches_are_those_of_faiss(level, case):
    """The codes at a distance of at most r are those that FAISS finds below r + 1."""
    queries, codes, index = case
    radius = max(codes.nbits // 2 - 5, 1)
    limits, distances, ids = index.range_search(queries, radius + 1)
    matches = codes.within(words(queries), radius)
    np.testing.assert_array_equal(matches.counts, np.diff(limits.astype(np.int64)))
    order = np.lexsort((ids, distances, np.repeat(np.arange(len(queries)), matches.counts)))
    np.testing.assert_array_equal(matches.positions, ids[order])
    np.testing.assert_array_equal(matches.distances, distances[order])


def test_distances_are_numpys_counts_of_differing_bits(level, case):
    """A Hamming distance is the popcount of the xor of two codes, by numpy.bitwise_count on their bytes."""
    queries, codes, index = case
    rows = faiss.vector_to_array(index.xb).reshape(codes.rows, -1)[:200]
    want = np.bitwise_count(queries[:, None, :] ^ rows).sum(axis=2)
    np.testing.assert_array_equal(codes.distances(words(queries))[:, :200], want)
