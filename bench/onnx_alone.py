"""onnxruntime without us: one row of digits through a session, over and over.

`python -m bench.onnx_alone MODEL RUNS` prints the seconds that passed and the seconds of processor time.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import onnxruntime

WARM_UP = 500


def main(model: str, runs: int) -> None:
    """Run and print."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    row = {session.get_inputs()[0].name: np.ones((1, 64), np.float32)}
    for _ in range(WARM_UP):
        session.run(names, row)
    started, worked = time.perf_counter(), time.process_time()
    for _ in range(runs):
        session.run(names, row)
    print(time.perf_counter() - started, time.process_time() - worked)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
