"""onnxruntime without us: one row of digits through a session, over and over.

`python -m bench.onnx_alone MODEL RUNS` prints the seconds that passed and the seconds of processor time.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP = 500


def run_of(model: str) -> Callable[[], object]:
    """Return what runs a model of the digits on one row, in one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    row = {session.get_inputs()[0].name: np.ones((1, 64), np.float32)}
    return lambda: session.run(names, row)


def main(model: str, runs: int) -> None:
    """Run and print."""
    run = run_of(model)
    for _ in range(WARM_UP):
        run()
    started, worked = time.perf_counter(), time.process_time()
    for _ in range(runs):
        run()
    print(time.perf_counter() - started, time.process_time() - worked)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
