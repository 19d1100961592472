"""The binary index: what goes through a file is found as a naive search over unpacked bits finds it."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

import liam_core
from liam_core import BinaryIndex, ModelFormatError, ResultSizeError, pack, read_binary_index, write_binary_index
from liam_core import index as index_module
from liam_core.index import StoppedError

NBITS, ROWS, K = 100, 90, 7
RNG = np.random.default_rng(5)
VECTORS = RNG.standard_normal((ROWS, NBITS)).astype(np.float32)
VECTORS[40] = VECTORS[3]  # ties
THRESHOLDS = (RNG.standard_normal(NBITS) / 4).astype(np.float32)
IDS = RNG.permutation(ROWS).astype(np.int64) * 10 - 50
QUERIES = np.concatenate([VECTORS[:4], RNG.standard_normal((5, NBITS)).astype(np.float32)])


def bits_of(x, thresholds=0):
    return (x >= thresholds).astype(np.int64)


def distances_of(queries, codes, metric):
    """Return all distances in the plainest way."""
    differ = (queries[:, None] != codes[None]).sum(-1)
    if metric == "hamming":
        return differ
    if metric == "dot":
        return NBITS - 2 * differ
    either = (queries[:, None] | codes[None]).sum(-1)
    return differ.astype(np.float32) / either.astype(np.float32)


def best_first(distances, metric):
    """Return positions by distance, equal ones in their order."""
    return np.argsort(-distances if metric == "dot" else distances, axis=1, kind="stable")


def opened(tmp_path, **how):
    path = tmp_path / "index.safetensors"
    write_binary_index(path, **{"codes": pack(VECTORS), "nbits": NBITS, "ids": IDS, **how})
    return BinaryIndex.open(path)


@pytest.mark.parametrize("metric", ["hamming", "dot", "jaccard"])
def test_the_nearest_are_found(tmp_path, level, metric):
    """Ids and distances are those of a naive search, ties in the order of the file."""
    ids, distances = opened(tmp_path, metric=metric, k=K).run(QUERIES)
    expected = distances_of(bits_of(QUERIES), bits_of(VECTORS), metric)
    order = best_first(expected, metric)[:, :K]
    assert (ids.dtype, distances.dtype) == (np.int64, np.float32 if metric == "jaccard" else np.int32)
    np.testing.assert_array_equal(ids, IDS[order])
    np.testing.assert_array_equal(distances, np.take_along_axis(expected, order, 1))


@pytest.mark.parametrize(
    ("metric", "radius"), [("hamming", 45), ("hamming", 0), ("dot", 10), ("dot", -100), ("jaccard", 0.6)]
)
def test_all_within_a_radius_are_found(tmp_path, level, metric, radius):
    """Counts say how many matches each query has; ids and distances follow one another, nearest first."""
    counts, ids, distances = opened(tmp_path, metric=metric, radius=radius).run(QUERIES)
    expected = distances_of(bits_of(QUERIES), bits_of(VECTORS), metric)
    found = expected >= radius if metric == "dot" else expected <= np.float32(radius)
    order = best_first(expected, metric)
    hits = np.take_along_axis(found, order, 1)
    np.testing.assert_array_equal(counts, found.sum(1))
    np.testing.assert_array_equal(ids, IDS[order][hits])
    np.testing.assert_array_equal(distances, np.take_along_axis(expected, order, 1)[hits])
    assert counts.dtype == ids.dtype == np.int64


def test_queries_are_compared_with_thresholds_or_come_packed(tmp_path):
    """Numbers are binarised by the file's thresholds; bytes are taken as bits, little end first, tails ignored."""
    codes = pack(VECTORS, THRESHOLDS)
    by_numbers = opened(tmp_path, codes=codes, k=K, thresholds=THRESHOLDS).run(QUERIES)
    packed = np.packbits(bits_of(QUERIES, THRESHOLDS).astype(np.uint8), axis=-1, bitorder="little")
    packed[:, -1] |= 0xF0  # past 100 bits
    by_bytes = opened(tmp_path, codes=codes, k=K, input_form="packed").run(packed)
    for one, other in zip(by_numbers, by_bytes, strict=True):
        np.testing.assert_array_equal(one, other)
    assert opened(tmp_path, k=1, input_form="packed").describe()["inputs"] == [
        {"name": "input", "datatype": "UINT8", "shape": [-1, 13]}
    ]


@pytest.mark.parametrize("by", ["codes", "vectors"])
@pytest.mark.parametrize("oversample", [1, 4, 1000])
def test_a_shortlist_is_rescored(tmp_path, level, by, oversample):
    """Of `oversample * k` neighbours by bits the best by exact dot products are answered, greatest first."""
    vectors = {"vectors": VECTORS} if by == "vectors" else {}
    ids, distances, scores = opened(tmp_path, k=K, oversample=oversample, **vectors).run(QUERIES)
    against = VECTORS if by == "vectors" else (2 * bits_of(VECTORS) - 1)
    exact = QUERIES.astype(np.float64) @ against.astype(np.float64).T
    hamming = distances_of(bits_of(QUERIES), bits_of(VECTORS), "hamming")
    for row in range(len(QUERIES)):
        shortlist = best_first(hamming, "hamming")[row, : min(oversample * K, ROWS)]
        order = sorted(shortlist, key=lambda place: (-np.float32(exact[row, place]), place))[:K]
        np.testing.assert_array_equal(ids[row], IDS[order])
        np.testing.assert_array_equal(distances[row], hamming[row, order])
        np.testing.assert_allclose(scores[row], exact[row, order], rtol=1e-5, atol=1e-4)
    assert scores.dtype == np.float32


def test_a_query_that_is_no_number_has_no_better_score(tmp_path):
    """NaN is below every threshold, and a score of NaN is the last, always by the same bits."""
    index = opened(tmp_path, k=3, oversample=10)
    query = QUERIES[:1].copy()
    query[0, 5] = np.nan
    _, _, scores = index.run(query)
    assert scores.view(np.uint32).tolist() == [[0x7FC00000] * 3]


@pytest.mark.parametrize("how", [{"k": K}, {"k": K, "oversample": 3}, {"radius": 45}])
def test_rows_do_not_depend_on_their_batch(tmp_path, how, monkeypatch):
    """A row's results are the same bits alone, among others, and in a run of several blocks."""
    index = opened(tmp_path, **how)
    together = index.run(QUERIES)
    monkeypatch.setattr(index, "_block", 2)
    for one, other in zip(together, index.run(QUERIES), strict=True):
        assert one.tobytes() == other.tobytes()
    alone = [index.run(QUERIES[row : row + 1]) for row in range(len(QUERIES))]
    for place, whole in enumerate(together):
        assert whole.tobytes() == b"".join(parts[place].tobytes() for parts in alone)


def test_a_long_run_can_be_stopped(tmp_path, monkeypatch):
    """Between two blocks the caller is asked whether to go on."""
    index = opened(tmp_path, k=K)
    monkeypatch.setattr(index, "_block", 2)
    answers = iter([True, True, False])
    with pytest.raises(StoppedError):
        index.run(QUERIES, goes_on=lambda: next(answers))


def test_results_have_a_limit(tmp_path, monkeypatch):
    """What would not fit into an answer is refused: before the search by its rows, during it by its matches."""
    monkeypatch.setattr(index_module, "MAX_RESULT_BYTES", 500)
    with pytest.raises(ResultSizeError, match="x: 9 rows give at least 756 bytes of results; send at most 5 rows"):
        opened(tmp_path, k=K).run(QUERIES)
    with pytest.raises(ResultSizeError, match="x: the matches take more than 500 bytes"):
        opened(tmp_path, radius=NBITS).run(QUERIES)
    assert opened(tmp_path, radius=0).run(QUERIES)[0].tolist() == [1, 1, 1, 2, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("how", [{"k": K}, {"k": K, "oversample": 2}, {"radius": 10}])
def test_no_rows_give_no_results(tmp_path, how):
    """A batch without rows has results without rows."""
    for result in opened(tmp_path, **how).run(np.zeros((0, NBITS), np.float32)):
        assert result.shape[0] == 0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, NBITS)), "x: want dtype float32"),
        (np.zeros((1, NBITS - 1), np.float32), "x: want 100 columns, got 99"),
        (np.zeros(NBITS, np.float32), "x: want 2 axes"),
        (np.zeros((1, 2 * NBITS), np.float32)[:, ::2], "x: want a C-contiguous"),
    ],
)
def test_other_queries_are_refused(tmp_path, x, message):
    """A wrong dtype, width, number of axes or layout is named."""
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, k=1).run(x)


def test_other_bytes_are_refused(tmp_path):
    """Packed queries have a byte for every eight bits."""
    with pytest.raises(ValueError, match="x: want 13 bytes per row for 100 bits, got 12"):
        opened(tmp_path, k=1, input_form="packed").run(np.zeros((1, 12), np.uint8))


def test_the_signature_says_which_outputs_are_ragged(tmp_path):
    """An index with a radius names the outputs that do not have a row for each query."""
    said = opened(tmp_path, radius=3, metric="dot").describe()
    assert [(one["name"], one["datatype"], one["shape"]) for one in said["outputs"]] == [
        ("counts", "INT64", [-1]),
        ("ids", "INT64", [-1]),
        ("distances", "INT32", [-1]),
    ]
    assert said["ragged"] == ["ids", "distances"]
    said = opened(tmp_path, k=2, metric="jaccard", oversample=3).describe()
    assert [(one["name"], one["datatype"], one["shape"]) for one in said["outputs"]] == [
        ("ids", "INT64", [-1, 2]),
        ("distances", "FP32", [-1, 2]),
        ("scores", "FP32", [-1, 2]),
    ]
    assert (said["ragged"], said["rows"], said["shortlist"]) == ([], ROWS, 6)


def test_the_stock_reader_loads_the_file(tmp_path):
    """Any safetensors reader sees the documented tensors and metadata."""
    path = tmp_path / "index.safetensors"
    write_binary_index(
        path, codes=pack(VECTORS), nbits=NBITS, ids=IDS, k=3, thresholds=THRESHOLDS, oversample=2, vectors=VECTORS
    )
    tensors = load_file(path)
    assert tensors.keys() >= {"codes", "ids", "thresholds", "vectors"}
    np.testing.assert_array_equal(tensors["codes"], pack(VECTORS))
    np.testing.assert_array_equal(tensors["ids"], IDS)
    np.testing.assert_array_equal(tensors["thresholds"], THRESHOLDS)
    np.testing.assert_array_equal(tensors["vectors"], VECTORS)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert json.loads(metadata.pop("index")) == {
        "nbits": NBITS,
        "rows": ROWS,
        "metric": "hamming",
        "codes": "codes",
        "ids": "ids",
        "input": {"name": "input", "form": "float32", "thresholds": "thresholds"},
        "result": {"k": 3},
        "rescoring": {"oversample": 2, "vectors": "vectors"},
    }
    assert metadata == {"format": "liam.binary_index", "format_version": "1", "bitorder": "little", "bit_one": "+1"}


@pytest.mark.parametrize(
    "how", [{"k": 3}, {"radius": 0.3, "metric": "jaccard"}, {"k": 2, "oversample": 5, "vectors": VECTORS}]
)
def test_equal_indexes_give_equal_bytes(tmp_path, how):
    """Writing is deterministic, and so is writing what was read."""
    first, second = tmp_path / "first", tmp_path / "second"
    write_binary_index(first, codes=pack(VECTORS), nbits=NBITS, **how)
    liam_core.save_binary_index(second, read_binary_index(first))
    assert first.read_bytes() == second.read_bytes()


def test_an_open_index_does_not_need_its_file(tmp_path):
    """An index goes on searching when its file has been emptied."""
    index = opened(tmp_path, k=K, oversample=2, vectors=VECTORS, thresholds=THRESHOLDS)
    before = [one.tobytes() for one in index.run(QUERIES)]
    (tmp_path / "index.safetensors").write_bytes(b"")
    assert [one.tobytes() for one in index.run(QUERIES)] == before


def test_codes_without_ids_are_numbered(tmp_path):
    """Without ids a code's id is its position."""
    ids, _ = opened(tmp_path, ids=None, k=1).run(VECTORS[:3])
    assert ids.tolist() == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"codes": VECTORS}, "codes: want a packed uint64 matrix, got float32"),
        ({"codes": pack(VECTORS)[:0]}, "codes: want 1 to 2147483647 rows, got 0"),
        ({"nbits": 0}, "nbits: want 1 to"),
        ({"nbits": 129}, "codes: want uint64 (90, 3), got uint64 (90, 2)"),
        ({"nbits": 99}, "codes: bits past 99 are not zero"),
        ({"nbits": 100.0}, "nbits: want an integer, got 100.0"),
        ({"ids": IDS[:-1]}, "ids: want int64 (90,), got int64 (89,)"),
        ({"ids": IDS.astype(float)}, "ids: want a vector of integers"),
        ({"ids": np.full(ROWS, 2**63, np.uint64)}, "ids: want 64-bit signed integers"),
        ({"metric": "cosine"}, "metric: 'cosine' is none of hamming, dot, jaccard"),
        ({"k": None}, "result: want either k or a radius"),
        ({"radius": 3}, "result: want either k or a radius"),
        ({"k": 0}, "k: want 1 to 90 neighbours of 90 codes, got 0"),
        ({"k": 91}, "k: want 1 to 90 neighbours of 90 codes, got 91"),
        ({"k": None, "radius": -1}, "radius: want an integer from 0 to 100, got -1"),
        ({"k": None, "radius": 101}, "radius: want an integer from 0 to 100, got 101"),
        ({"k": None, "radius": 1.5}, "radius: want an integer, got 1.5"),
        ({"k": None, "radius": -101, "metric": "dot"}, "radius: want an integer from -100 to 100, got -101"),
        ({"k": None, "radius": 1.5, "metric": "jaccard"}, "radius: want a float32 from 0 to 1 for jaccard, got 1.5"),
        ({"k": None, "radius": np.nan, "metric": "jaccard"}, "radius: want a float32 from 0 to 1"),
        ({"k": None, "radius": "1", "metric": "jaccard"}, "radius: want a number, got '1'"),
        ({"input_form": "bits"}, "input: 'bits' is none of float32, packed"),
        ({"input_form": "packed", "thresholds": THRESHOLDS}, "thresholds: packed queries are not compared"),
        ({"thresholds": THRESHOLDS[1:]}, "thresholds: want float32 (100,), got float32 (99,)"),
        ({"thresholds": np.full(NBITS, np.inf)}, "thresholds: NaN or infinity"),
        ({"thresholds": ["a"] * NBITS}, "thresholds: want numbers"),
        ({"oversample": 0}, "oversample: want 1 to 9362 for k = 7, got 0"),
        ({"oversample": 10_000}, "oversample: want 1 to 9362 for k = 7, got 10000"),
        ({"input_form": "packed", "oversample": 2}, "rescoring: wants float32 queries, not packed ones"),
        ({"k": None, "radius": 3, "oversample": 2}, "rescoring: chooses k neighbours"),
        ({"vectors": VECTORS}, "vectors: are used for rescoring, which needs oversample"),
        ({"oversample": 2, "vectors": VECTORS[1:]}, "vectors: want float32 (90, 100), got float32 (89, 100)"),
        ({"oversample": 2, "vectors": np.full((ROWS, NBITS), 1e300)}, "vectors: NaN or infinity"),
    ],
)
def test_wrong_parts_are_refused(tmp_path, how, message):
    """What is no index is not written; the message names the argument."""
    path = tmp_path / "file"
    arguments = {"codes": pack(VECTORS), "nbits": NBITS, "ids": IDS, "k": K, **how}
    with pytest.raises(ModelFormatError) as caught:
        write_binary_index(path, **arguments)
    assert str(caught.value).startswith(message)
    assert not path.exists()
