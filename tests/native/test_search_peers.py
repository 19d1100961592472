"""Hamming search against FAISS, which shares no code with the kernel. Its order among equal distances is its own."""

import faiss
import numpy as np
import pytest

from liam_core import BinaryCodes


def random_words(seed, rows, nbits):
    """Return random packed rows."""
    return np.random.default_rng(seed).integers(0, 2**64, (rows, nbits // 64), dtype=np.uint64)


@pytest.fixture(params=[64, 128, 256, 320, 512, 1024])
def case(request):
    """Return packed queries, the codes, and a FAISS index of the same codes."""
    nbits = request.param
    queries, rows = random_words(1, 21, nbits), random_words(2, 3000, nbits)
    rows[100:120] = rows[0]  # ties
    queries[0] = rows[0]
    index = faiss.IndexBinaryFlat(nbits)
    index.add(rows.view(np.uint8))
    return queries, BinaryCodes(rows, nbits), index


@pytest.mark.parametrize("k", [1, 10, 100])
def test_the_nearest_are_those_of_faiss(level, case, k):
    """Distances are equal, and so are the codes below the k-th distance; at that distance any will do."""
    queries, codes, index = case
    distances, ids = index.search(queries.view(np.uint8), k)
    found = codes.top_k(queries, k)
    np.testing.assert_array_equal(found.distances, distances)
    for i in range(len(queries)):
        sure = distances[i] < distances[i, -1]
        mine = set(zip(found.distances[i][sure].tolist(), found.positions[i][sure].tolist(), strict=True))
        assert mine == set(zip(distances[i][sure].tolist(), ids[i][sure].tolist(), strict=True))


def test_matches_are_those_of_faiss(level, case):
    """The codes at a distance of at most r are those that FAISS finds below r + 1."""
    queries, codes, index = case
    radius = codes.nbits // 2 - 5
    limits, distances, ids = index.range_search(queries.view(np.uint8), radius + 1)
    matches = codes.within(queries, radius)
    np.testing.assert_array_equal(matches.counts, np.diff(limits.astype(np.int64)))
    order = np.lexsort((ids, distances, np.repeat(np.arange(len(queries)), matches.counts)))
    np.testing.assert_array_equal(matches.positions, ids[order])
    np.testing.assert_array_equal(matches.distances, distances[order])
