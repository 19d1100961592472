"""Runs a version on checked inputs: on the loop when that is quick, else in a thread."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh_server.inference.activity import LabelRecord
from neuralmesh_server.inference.tensors import to_raw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from neuralmesh_server.inference.serving import LoadedModel

INLINE_NS = 50_000
"""A run that is expected to take less stays on the loop: a thread costs about as much."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output, as it is answered."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes


class Execution:
    """Runs versions.

    Args:
        threads: Where long runs go.
    """

    def __init__(self, threads: Executor) -> None:
        self._threads = threads

    async def run(
        self, loaded: LoadedModel, rows: int, raw: bytes | None, arrays: Mapping[str, NDArray[Any]]
    ) -> list[Output]:
        """Return all outputs in the signature's order; see `LoadedModel.run_raw` for `raw`.

        Raises:
            NeuralMeshError: The model failed (MODEL_FAILED) or refused its inputs (INPUT_INVALID).
        """
        work: Callable[[], list[Output]]
        if raw is not None:
            data = raw

            def work() -> list[Output]:
                return _run_raw(loaded, data, rows)
        else:

            def work() -> list[Output]:
                return _run_arrays(loaded, arrays)

        if loaded.cost_ns(rows) < INLINE_NS:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _run_raw(loaded: LoadedModel, data: bytes, rows: int) -> list[Output]:
    assert loaded.run_raw is not None
    results = loaded.run_raw(data, rows)
    specs = loaded.runner.signature.outputs
    return [
        Output(spec.name, spec.datatype, tuple(rows if size == -1 else size for size in spec.shape), result)
        for spec, result in zip(specs, results, strict=True)
    ]


def _run_arrays(loaded: LoadedModel, arrays: Mapping[str, NDArray[Any]]) -> list[Output]:
    results = loaded.runner.run(arrays)
    outputs = []
    for spec in loaded.signature.outputs:
        array = results[spec.name]
        outputs.append(Output(spec.name, spec.datatype, array.shape, to_raw(spec.datatype, array)))
    return outputs


def label_record(loaded: LoadedModel, outputs: list[Output], prediction_id: str) -> LabelRecord | None:
    """Return the labels of a prediction, for a version that has a label output."""
    if loaded.label_index < 0:
        return None
    output = outputs[loaded.label_index]
    rows = 1
    for size in output.shape:
        rows *= size
    return LabelRecord(loaded.activity, output.datatype, prediction_id, rows, output.raw)
