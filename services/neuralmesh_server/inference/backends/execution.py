"""Runs a version on checked inputs: on the loop when it is known that this is quick, else in a thread, with an end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh_server.errors import DeadlineExceededError
from neuralmesh_server.inference.backends.ending import Ended, EndedError
from neuralmesh_server.inference.reporting.labels import LabelRecord
from neuralmesh_server.inference.tensors import raw_view

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.ending import Ending, Place
    from neuralmesh_server.inference.serving import LoadedModel
    from neuralmesh_server.inference.tensors import TensorSpec

INLINE_NS = 50_000
"""A run that is expected to take less stays on the loop: a thread costs about as much."""

FORESEEN_NS = 50_000_000
"""A run in a thread that is expected to take less needs no end: it is over before anybody could ask for one."""

MEASURED_ROWS = 32
"""Most rows that the warm-up runs. Time may grow faster than rows, so what is measured is not carried beyond them,
except for models that take raw rows, one like the other."""
UNLIMITED_ROWS = 2**31

MAX_SECONDS = 60.0
"""The longest that a run may take, whatever deadline its caller has."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output, as it is answered."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | memoryview


class Execution:
    """Runs versions.

    Args:
        threads: Where runs go that are long or cannot be foreseen.
        max_seconds: The longest that such a run may take.
    """

    def __init__(self, threads: Executor, max_seconds: float = MAX_SECONDS) -> None:
        self._ended = Ended(threads)
        self._max_seconds = max_seconds
        self._closed = False

    async def run(
        self,
        loaded: LoadedModel,
        rows: int,
        raw: bytes | memoryview | None,
        arrays: Mapping[str, NDArray[Any]],
        remaining: float | None = None,
        *,
        place: Place | None = None,
    ) -> list[Output]:
        """Return all outputs in the signature's order; see `LoadedModel.run_raw` for `raw`.

        `remaining` is what is left until the caller's deadline, in seconds; None for no deadline. `place` is held for
        as long as a thread works on it, also when its caller has given up.

        Raises:
            DeadlineExceededError: DEADLINE_EXPIRED: the run was ended at the deadline, at the longest time, or because
                the node stops, which is not UNAVAILABLE since something ran.
            NeuralMeshError: The model failed (MODEL_FAILED) or refused its inputs (INPUT_INVALID).
        """
        if rows == 0 and _is_empty(loaded, arrays):
            return [_no_rows(spec) for spec in loaded.signature.outputs]
        if self.is_quick(loaded, rows):
            return _run(loaded, rows, raw, arrays, None)
        seconds = self._max_seconds if remaining is None else min(remaining, self._max_seconds)
        try:
            return await self._ended.run(lambda ending: _run(loaded, rows, raw, arrays, ending), seconds, place)
        except EndedError as error:
            if self._closed:
                raise DeadlineExceededError("DEADLINE_EXPIRED", "this node stops; the run was ended") from error
            raise DeadlineExceededError("DEADLINE_EXPIRED", f"the run was ended after {seconds:.3f} seconds") from error

    def is_quick(self, loaded: LoadedModel, rows: int) -> bool:
        """Say whether a run stays on the loop."""
        # Several inputs might have different numbers of rows.
        return len(loaded.signature.inputs) == 1 and rows <= quick_rows(loaded)

    def close(self) -> None:
        """End all runs in threads."""
        self._closed = True
        self._ended.close()


def quick_rows(loaded: LoadedModel) -> int:
    """Return the most rows of a request that runs on the loop, if all inputs have as many; 0 for none."""
    return _rows_within(loaded, INLINE_NS)


def foreseen_rows(loaded: LoadedModel) -> int:
    """Return the most rows of a request whose run nobody has to end, wherever it runs; otherwise as `quick_rows`."""
    return _rows_within(loaded, FORESEEN_NS)


def _rows_within(loaded: LoadedModel, limit_ns: int) -> int:
    inputs = loaded.signature.inputs
    batched = [spec.batched for spec in inputs]
    foreseen = all(-1 not in spec.shape[1:] for spec in inputs) and (all(batched) or not any(batched))
    if not loaded.runner.predictable_cost or not foreseen or loaded.cost_ns(1) >= limit_ns:
        return 0
    most = UNLIMITED_ROWS if loaded.run_raw is not None or not any(batched) else MEASURED_ROWS
    if loaded.row_ns:
        most = min(most, (limit_ns - 1 - loaded.base_ns) // loaded.row_ns)
    return most


def _is_empty(loaded: LoadedModel, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Say of a request whose first input has no rows whether nothing but no rows can be its answer."""
    signature = loaded.signature
    specs = (*signature.inputs, *signature.outputs)
    return all(spec.batched for spec in specs) and all(array.shape[0] == 0 for array in arrays.values())


def _no_rows(spec: TensorSpec) -> Output:
    return Output(spec.name, spec.datatype, tuple(max(size, 0) for size in spec.shape), b"")


def _run(
    loaded: LoadedModel,
    rows: int,
    raw: bytes | memoryview | None,
    arrays: Mapping[str, NDArray[Any]],
    ending: Ending | None,
) -> list[Output]:
    if raw is not None:
        return _run_raw(loaded, raw, rows)
    return _run_arrays(loaded, arrays, ending)


def _run_raw(loaded: LoadedModel, data: bytes | memoryview, rows: int) -> list[Output]:
    assert loaded.run_raw is not None
    results = loaded.run_raw(data, rows)
    specs = loaded.runner.signature.outputs
    return [
        Output(spec.name, spec.datatype, tuple(rows if size == -1 else size for size in spec.shape), result)
        for spec, result in zip(specs, results, strict=True)
    ]


def _run_arrays(loaded: LoadedModel, arrays: Mapping[str, NDArray[Any]], ending: Ending | None) -> list[Output]:
    results = loaded.runner.run(arrays, ending)
    outputs = []
    for spec in loaded.signature.outputs:
        array = results[spec.name]
        outputs.append(Output(spec.name, spec.datatype, array.shape, raw_view(spec.datatype, array)))
    return outputs


def label_record(loaded: LoadedModel, outputs: list[Output], prediction_id: str) -> LabelRecord | None:
    """Return the labels of a prediction, for a version that has a label output."""
    if loaded.label_index < 0:
        return None
    output = outputs[loaded.label_index]
    rows = 1
    for size in output.shape:
        rows *= size
    return LabelRecord(loaded.activity, output.datatype, prediction_id, rows, bytes(output.raw))
