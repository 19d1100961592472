"""A binary index as arrays: what the file profile stores and what searches are prepared from.

Shapes, widths and values are checked here once, for definitions made in Python and for those read from files
alike.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liam_core.arguments import part_array, part_integer
from liam_core.bits import words_for
from liam_core.errors import ModelFormatError
from liam_core.kernel import MAX_NBITS
from liam_core.search import Metric

__all__ = ["FLOATS", "METRICS", "PACKED", "IndexDefinition", "Rescoring"]

METRICS: Final[tuple[Metric, ...]] = ("hamming", "dot", "jaccard")
FLOATS: Final = "float32"
PACKED: Final = "packed"
MAX_ROWS: Final = 2**31 - 1
MAX_NEIGHBOURS: Final = 65_536
"""Most neighbours of a query, those of a shortlist included."""
_CHECKED_ROWS: Final = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Rescoring:
    """The `k` nearest are chosen by exact float dot products among `oversample * k` that are nearest by bits."""

    oversample: int
    """At least 1."""
    vectors: NDArray[np.float32] | None = None
    """(rows, nbits), finite: what queries are multiplied with; None for the codes as +1 and -1."""


@dataclass(frozen=True, slots=True, eq=False)
class IndexDefinition:
    """A valid index: constructing one checks it.

    Raises:
        ModelFormatError: a part does not have the documented shape, width or values.
    """

    nbits: int
    codes: NDArray[np.uint64]
    """(rows, words), packed rows of nbits bits."""
    ids: NDArray[np.int64]
    """(rows,), what answers call the rows; not necessarily different."""
    metric: Metric
    """One of METRICS."""
    k: int | None = None
    """How many neighbours a query gets, 1 to `rows`; None for those within `radius`."""
    radius: float | None = None
    """Greatest distance of a neighbour, or least dot product: an integer, and for `jaccard` a float32 from 0 to 1."""
    input_form: str = FLOATS
    """FLOATS for queries of numbers that are binarised, PACKED for queries of bytes."""
    thresholds: NDArray[np.float32] | None = None
    """(nbits,), finite: bit j of a query is `x[j] >= thresholds[j]`, and `x[j] >= 0` without them."""
    rescoring: Rescoring | None = None

    def __post_init__(self) -> None:
        _check_codes(self)
        if self.metric not in METRICS:
            raise ModelFormatError(f"metric: {self.metric!r} is none of {', '.join(METRICS)}")
        _check_input(self)
        _check_result(self)
        _check_rescoring(self)

    @property
    def rows(self) -> int:
        """The number of codes."""
        return len(self.codes)

    @property
    def shortlist(self) -> int:
        """How many neighbours by bits a query with `k` gets before any rescoring."""
        assert self.k is not None
        return self.k if self.rescoring is None else min(self.rescoring.oversample * self.k, self.rows)


def _check_codes(index: IndexDefinition) -> None:
    nbits, codes = index.nbits, index.codes
    if type(nbits) is not int or not 0 < nbits <= MAX_NBITS:
        raise ModelFormatError(f"nbits: want 1 to {MAX_NBITS} bits, got {nbits!r}")
    if not isinstance(codes, np.ndarray) or codes.ndim == 0:
        raise ModelFormatError(f"codes: want a packed uint64 matrix, got {type(codes).__name__}")
    if not 0 < len(codes) <= MAX_ROWS:
        raise ModelFormatError(f"codes: want 1 to {MAX_ROWS} rows, got {len(codes)}")
    _check_array("codes", codes, (len(codes), words_for(nbits)), np.uint64)
    _check_array("ids", index.ids, (len(codes),), np.int64)
    if nbits % 64 and any((part >> np.uint64(nbits % 64)).any() for part in _parts(codes[:, -1])):
        raise ModelFormatError(f"codes: bits past {nbits} are not zero")


def _check_input(index: IndexDefinition) -> None:
    if index.input_form not in (FLOATS, PACKED):
        raise ModelFormatError(f"input: {index.input_form!r} is none of {FLOATS}, {PACKED}")
    if index.thresholds is None:
        return
    if index.input_form != FLOATS:
        raise ModelFormatError("thresholds: packed queries are not compared with thresholds")
    _check_array("thresholds", index.thresholds, (index.nbits,), np.float32)
    _check_finite("thresholds", index.thresholds)


def _check_result(index: IndexDefinition) -> None:
    if (index.k is None) == (index.radius is None):
        raise ModelFormatError("result: want either k or a radius")
    if index.k is not None:
        most = min(index.rows, MAX_NEIGHBOURS)
        if type(index.k) is not int or not 0 < index.k <= most:
            raise ModelFormatError(f"k: want 1 to {most} neighbours of {index.rows} codes, got {index.k!r}")
        return
    radius = index.radius
    if index.metric == "jaccard":
        if not isinstance(radius, float) or not 0 <= radius <= 1 or float(np.float32(radius)) != radius:
            raise ModelFormatError(f"radius: want a float32 from 0 to 1 for jaccard, got {radius!r}")
        return
    low = -index.nbits if index.metric == "dot" else 0
    if type(radius) is not int or not low <= radius <= index.nbits:
        raise ModelFormatError(f"radius: want an integer from {low} to {index.nbits}, got {radius!r}")


def _check_rescoring(index: IndexDefinition) -> None:
    rescoring = index.rescoring
    if rescoring is None:
        return
    if index.k is None:
        raise ModelFormatError("rescoring: chooses k neighbours; an index with a radius has none to choose")
    if index.input_form != FLOATS:
        raise ModelFormatError(f"rescoring: wants {FLOATS} queries, not {index.input_form} ones")
    if type(rescoring.oversample) is not int or not 0 < rescoring.oversample * index.k <= MAX_NEIGHBOURS:
        raise ModelFormatError(
            f"oversample: want 1 to {MAX_NEIGHBOURS // index.k} for k = {index.k}, got {rescoring.oversample!r}"
        )
    if rescoring.vectors is not None:
        _check_array("vectors", rescoring.vectors, (index.rows, index.nbits), np.float32)
        _check_finite("vectors", rescoring.vectors)


def _check_array(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if not isinstance(array, np.ndarray):
        raise ModelFormatError(f"{name}: want an array, got {type(array).__name__}")
    if array.shape != shape or array.dtype != dtype:
        raise ModelFormatError(f"{name}: want {np.dtype(dtype).name} {shape}, got {array.dtype} {array.shape}")


def _check_finite(name: str, array: NDArray[np.float32]) -> None:
    if not all(np.isfinite(part).all() for part in _parts(array)):
        raise ModelFormatError(f"{name}: NaN or infinity")


def _parts(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Return an array in parts, so that what is made of one is small beside the whole."""
    rows = max(_CHECKED_ROWS // max(array[:1].size, 1), 1)
    return [array[start : start + rows] for start in range(0, len(array), rows)]


def from_arrays(
    *,
    codes: ArrayLike,
    nbits: int,
    ids: ArrayLike | None,
    metric: Metric,
    k: int | None,
    radius: float | None,
    input_form: str,
    thresholds: ArrayLike | None,
    oversample: int | None,
    vectors: ArrayLike | None,
) -> IndexDefinition:
    """Return the index with these parts; the arguments are those of `index_profile.write_binary_index`.

    Raises:
        ModelFormatError: an argument has a wrong shape, type or value.
    """
    packed = part_array("codes", codes)
    if packed.ndim != 2 or packed.dtype != np.uint64:
        raise ModelFormatError(f"codes: want a packed uint64 matrix, got {packed.dtype} {packed.shape}")
    if vectors is not None and oversample is None:
        raise ModelFormatError("vectors: are used for rescoring, which needs oversample")
    names = np.arange(len(packed)) if ids is None else part_array("ids", ids)
    if names.ndim != 1 or names.dtype.kind not in "iu":
        raise ModelFormatError(f"ids: want a vector of integers, got {names.dtype} {names.shape}")
    if names.dtype.kind == "u" and names.size and int(names.max()) > np.iinfo(np.int64).max:
        raise ModelFormatError("ids: want 64-bit signed integers")
    rescoring = None
    if oversample is not None:
        rescoring = Rescoring(
            part_integer("oversample", oversample), None if vectors is None else _floats(vectors, "vectors")
        )
    return IndexDefinition(
        nbits=part_integer("nbits", nbits),
        codes=np.ascontiguousarray(packed),
        ids=np.ascontiguousarray(names, np.int64),
        metric=metric,
        k=None if k is None else part_integer("k", k),
        radius=None if radius is None else _radius(metric, radius),
        input_form=input_form,
        thresholds=None if thresholds is None else _floats(thresholds, "thresholds"),
        rescoring=rescoring,
    )


def _radius(metric: str, radius: object) -> float:
    if metric != "jaccard":
        return part_integer("radius", radius)
    if isinstance(radius, bool) or not isinstance(radius, int | float | np.floating | np.integer):
        raise ModelFormatError(f"radius: want a number, got {radius!r}")
    return float(np.float32(radius))


def _floats(values: ArrayLike, name: str) -> NDArray[np.float32]:
    array = part_array(name, values)
    if array.dtype.kind not in "iuf":
        raise ModelFormatError(f"{name}: want numbers, got {array.dtype} {array.shape}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return np.ascontiguousarray(array, dtype=np.float32)
