"""What is sent: request messages, serialised once before the first is sent, over and over in the same order.

A request carries one slice of the data along the first axis. Requests of a workload differ only in that slice, so that
an answer is known by the request's place in the workload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh.prediction import build_request
from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MOST_DRAWN = 256
"""Requests of a workload without data."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The requests of a run.

    Attributes:
        model: Name of the model.
        which: Version or alias as requests name it; may be empty.
        parts: Inputs of each request.
        requests: Each part as the bytes of a ModelInferRequest.
    """

    model: str
    which: str
    parts: tuple[Mapping[str, NDArray[Any]], ...]
    requests: tuple[bytes, ...]

    @classmethod
    def of(cls, model: str, which: str, parts: Sequence[Mapping[str, NDArray[Any]]]) -> Workload:
        """Serialise the parts.

        Raises:
            InvalidArgumentError: There are none.
        """
        if not parts:
            raise InvalidArgumentError("INPUT_INVALID", "the data has no rows", input="")
        return cls(model, which, tuple(parts), tuple(serialised(model, which, part) for part in parts))

    def pinned(self, version: str) -> list[bytes]:
        """Return the same requests for one version by its number."""
        return [serialised(self.model, version, part) for part in self.parts]


def serialised(model: str, which: str, inputs: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a request's bytes."""
    request = build_request(model, inputs, version=which, outputs=(), request_id="", parameters=None)
    return bytes(request.SerializeToString())


def split_rows(arrays: Mapping[str, NDArray[Any]], rows: int) -> list[dict[str, NDArray[Any]]]:
    """Cut arrays along their first axis into parts of `rows`; a rest that fills no part is left out.

    Raises:
        InvalidArgumentError: The inputs differ in length, or there are fewer rows than one part needs.
    """
    lengths = {name: array.shape[0] if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise InvalidArgumentError("INPUT_INVALID", f"the inputs differ in their number of rows: {lengths}", input="")
    count = next(iter(lengths.values()))
    if count < rows:
        raise InvalidArgumentError("INPUT_INVALID", f"{count} rows do not fill one request of {rows}", input="")
    return [
        {name: np.ascontiguousarray(array[start : start + rows]) for name, array in arrays.items()}
        for start in range(0, count - rows + 1, rows)
    ]


def drawn(specs: Mapping[str, tuple[str, Sequence[int]]], rows: int, seed: int) -> list[dict[str, NDArray[Any]]]:
    """Return parts drawn from a signature: normal floats, small integers, short bytes; the same seed, the same parts.

    Args:
        specs: Datatype and shape of each input; a leading -1 becomes `rows`, every other -1 becomes 1.
        rows: Rows of a request.
        seed: Where the drawing starts.

    Raises:
        InvalidArgumentError: An input's datatype has no NumPy type.
    """
    random = np.random.default_rng(seed)
    return [
        {name: _drawn(random, name, datatype, _shape(shape, rows)) for name, (datatype, shape) in specs.items()}
        for _ in range(MOST_DRAWN)
    ]


def _shape(shape: Sequence[int], rows: int) -> list[int]:
    return [(rows if place == 0 else 1) if length == -1 else int(length) for place, length in enumerate(shape)]


def _drawn(random: np.random.Generator, name: str, datatype: str, shape: list[int]) -> NDArray[Any]:
    from neuralmesh.tensors import DTYPES  # noqa: PLC0415 - only here

    if datatype == "BYTES":
        words = np.empty(shape, dtype=object)
        words.ravel()[:] = [random.bytes(8) for _ in range(words.size)]
        return words
    dtype = DTYPES.get(datatype)
    if dtype is None or datatype == "BF16":
        raise InvalidArgumentError(
            "INPUT_INVALID", f"input {name!r}: {datatype} cannot be drawn: give data", input=name
        )
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    return random.integers(0, 2 if dtype.kind == "b" else 100, shape).astype(dtype)
