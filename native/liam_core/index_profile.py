"""The file profile `liam.binary_index`, version 1: packed codes with ids, and how they are searched.

Any safetensors reader can open such a file. `codes` is a U64 tensor (rows, words), least significant bit first,
with bit 1 for +1 and zero bits past the row's width; `ids` is an I64 tensor (rows,). `__metadata__` holds exactly

    format          "liam.binary_index"
    format_version  "1"
    bitorder        "little"
    bit_one         "+1"
    index           a JSON object that names every tensor and says how to search, as `_index_json` writes it

Files are data: they are parsed, checked rule by rule, and never executed. Unknown versions, keys and tensors are
refused.
"""

import json
import os
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liam_core import storage
from liam_core.container import Container, serialise
from liam_core.errors import ModelFormatError
from liam_core.fields import Fields, description, identity
from liam_core.index_definition import FLOATS, METRICS, PACKED, IndexDefinition, Rescoring, from_arrays
from liam_core.search import Metric

__all__ = ["FORMAT", "FORMAT_VERSION", "read_binary_index", "save_binary_index", "write_binary_index"]

FORMAT: Final = "liam.binary_index"
FORMAT_VERSION: Final = "1"
INPUT_NAME: Final = "input"

_FIXED: Final = identity(FORMAT, FORMAT_VERSION)
_LONGEST_NUMBER: Final = 32


def write_binary_index(
    path: str | os.PathLike[str],
    *,
    codes: ArrayLike,
    nbits: int,
    ids: ArrayLike | None = None,
    metric: Metric = "hamming",
    k: int | None = None,
    radius: float | None = None,
    input_form: str = FLOATS,
    thresholds: ArrayLike | None = None,
    oversample: int | None = None,
    vectors: ArrayLike | None = None,
) -> None:
    """Write an index to `path`. The same arguments give the same bytes; the file appears complete or not at all.

    Args:
        path: Where to write.
        codes: Packed rows, uint64 (rows, ceil(nbits / 64)), as `liam_core.pack` makes them.
        nbits: Bits of a row.
        ids: (rows,) integers that answers name the rows by; 0, 1, 2 ... if absent.
        metric: "hamming"; "dot", the inner product of rows of +1 and -1, whose largest are nearest; or "jaccard".
        k: How many neighbours a query gets. Either this or `radius`.
        radius: Greatest distance of a neighbour (for "dot" the least product), rounded to float32 for "jaccard".
        input_form: "float32" for queries of `nbits` numbers, "packed" for queries of ceil(nbits / 8) bytes.
        thresholds: (nbits,) numbers, rounded to float32; bit j of a query is `x[j] >= thresholds[j]`; zeros if absent.
        oversample: With `k` and float32 queries: choose among `oversample * k` neighbours by exact dot products.
        vectors: (rows, nbits) numbers, rounded to float32, that queries are multiplied with; the codes as +1 and -1
            if absent.

    Raises:
        ModelFormatError: an argument has a wrong shape, type or value.
        OSError: the file cannot be written.
    """
    definition = from_arrays(
        codes=codes,
        nbits=nbits,
        ids=ids,
        metric=metric,
        k=k,
        radius=radius,
        input_form=input_form,
        thresholds=thresholds,
        oversample=oversample,
        vectors=vectors,
    )
    save_binary_index(path, definition)


def save_binary_index(path: str | os.PathLike[str], definition: IndexDefinition) -> None:
    """Write a definition to `path`, complete or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    storage.save(path, _parts(definition))


def _parts(definition: IndexDefinition) -> Iterator[bytes | memoryview]:
    tensors: list[tuple[str, NDArray[Any]]] = [("codes", definition.codes), ("ids", definition.ids)]
    if definition.thresholds is not None:
        tensors.append(("thresholds", definition.thresholds))
    if definition.rescoring is not None and definition.rescoring.vectors is not None:
        tensors.append(("vectors", definition.rescoring.vectors))
    index = json.dumps(_index_json(definition), separators=(",", ":"))
    return serialise({**_FIXED, "index": index}, tensors)


def _index_json(definition: IndexDefinition) -> dict[str, object]:
    source: dict[str, object] = {"name": INPUT_NAME, "form": definition.input_form}
    if definition.thresholds is not None:
        source["thresholds"] = "thresholds"
    result: dict[str, object] = {}
    if definition.k is not None:
        result["k"] = definition.k
    elif definition.metric == "jaccard":
        result["radius"] = repr(definition.radius)
    else:
        result["radius"] = definition.radius
    index: dict[str, object] = {
        "nbits": definition.nbits,
        "rows": definition.rows,
        "metric": definition.metric,
        "codes": "codes",
        "ids": "ids",
        "input": source,
        "result": result,
    }
    if definition.rescoring is not None:
        rescoring: dict[str, object] = {"oversample": definition.rescoring.oversample}
        if definition.rescoring.vectors is not None:
            rescoring["vectors"] = "vectors"
        index["rescoring"] = rescoring
    return index


def read_binary_index(path: str | os.PathLike[str]) -> IndexDefinition:
    """Return the index in a file, as arrays that view the memory-mapped file; see `storage.read`.

    Raises:
        ModelFormatError: the file breaks a rule; the message names it.
        OSError: the file cannot be read.
    """
    return storage.read(path, _definition)


def _definition(container: Container) -> IndexDefinition:
    index = description(container, _FIXED, "index")
    index.exactly("nbits", "rows", "metric", "codes", "ids", "input", "result", optional=("rescoring",))
    nbits, rows = index.size("nbits"), index.size("rows")
    metric = index.choice("metric", *METRICS)
    source = index.child("input").exactly("name", "form", optional=("thresholds",))
    source.constant("name", INPUT_NAME)
    thresholds = source.tensor("thresholds", np.float32, nbits) if "thresholds" in source else None
    result = index.child("result").exactly(optional=("k", "radius"))
    codes = index.tensor("codes", np.uint64, rows, (nbits + 63) // 64)
    ids = index.tensor("ids", np.int64, rows)
    rescoring = None
    if "rescoring" in index:
        said = index.child("rescoring").exactly("oversample", optional=("vectors",))
        vectors = said.tensor("vectors", np.float32, rows, nbits) if "vectors" in said else None
        rescoring = Rescoring(said.size("oversample"), vectors)
    index.all_used()
    return IndexDefinition(
        nbits=nbits,
        codes=codes,
        ids=ids,
        metric=metric,
        k=result.size("k") if "k" in result else None,
        radius=_radius(result, metric, nbits) if "radius" in result else None,
        input_form=source.choice("form", FLOATS, PACKED),
        thresholds=thresholds,
        rescoring=rescoring,
    )


def _radius(result: Fields, metric: Metric, nbits: int) -> float:
    """Return a radius; that of jaccard is a text, since the JSON of a profile has no fractions."""
    if metric != "jaccard":
        return result.integer("radius", -nbits, nbits)
    text = result.text("radius")
    try:
        value = float(text) if len(text) <= _LONGEST_NUMBER else None
    except ValueError:
        value = None
    if value is None or repr(value) != text:
        raise ModelFormatError(f"index.result.radius: {text[:_LONGEST_NUMBER]!r} is no number as Python writes it")
    return value
