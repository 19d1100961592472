"""What a request costs in this process: from the bytes of a ModelInferRequest to those of the answer, no transport.

    .venv/bin/python native/bench/bench_hot.py [rounds]

Ways are measured in turn, round by round, and every round is shown, in microseconds of processor time a request;
`busy`, with a second thread that runs Python all the time, by the clock. `digits` is the packed network 64-128-10 with
one row; `ordinary` is the way through protobuf and values, which takes what the codec passes. `mlp` is an ONNX network
784-128-10 with one row beside onnxruntime's own `run`; `echo` an ONNX identity of 1 MiB.
"""

# ruff: noqa: INP001, T201 - a command, not a package

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import liam_core
from liam_core import oip as codec
from neuralmesh import oip
from neuralmesh_server import prediction_id
from neuralmesh_server.inference import convert, inputs
from neuralmesh_server.inference.backends import warmup
from neuralmesh_server.inference.backends.execution import Execution
from neuralmesh_server.inference.backends.liam import LiamModel
from neuralmesh_server.inference.backends.onnx import OnnxBackend
from neuralmesh_server.inference.hot import Hot
from neuralmesh_server.inference.policy import MILLION, ModelPolicy, ReceiptMode, Receipts
from neuralmesh_server.inference.reporting.activity import Activity
from neuralmesh_server.inference.serving import LoadedModel, Route, Served, Serving, Snapshot
from neuralmesh_server.inference.tensors import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.inference.backends.backend import Model

DIGEST = "sha256:" + "5a" * 32
OFF, DIGESTS = ModelPolicy(), ModelPolicy(receipts=Receipts(ReceiptMode.ALL, MILLION))


def serve(runner: Model, label: str = "", policy: ModelPolicy = OFF) -> tuple[Hot, LoadedModel, Activity]:
    """Return what answers for a model `m`."""
    signature = Signature(runner.signature.inputs, runner.signature.outputs, label)
    checked = warmup.check(runner, signature)
    activity = Activity(5000, "bench")
    loaded = LoadedModel(
        model="m", version=1, uid=1, digest=DIGEST, kind="", signature=signature, runner=runner, size_bytes=1,
        base_ns=checked.base_ns, row_ns=checked.row_ns, label_index=checked.label_index,
        activity=activity.version("m", 1, DIGEST), run_raw=runner.run_raw,
    )  # fmt: skip
    served = Served(loaded, 1, prediction_id.subject(1, 1, 1, DIGEST))
    serving = Serving()
    serving.replace(
        Snapshot(
            revision=1, models=frozenset({"m"}), served={("m", 1): served}, aliases={}, states={}, targets={},
            routes={("m", ""): Route(served, policy=policy)},
        )
    )  # fmt: skip
    issuer = prediction_id.Issuer("bench", bytes(32), 1, codec.Numbers())
    return Hot(serving=serving, activity=activity, issuer=issuer, node="bench"), loaded, activity


def request(name: str, array: np.ndarray) -> bytes:
    """Return the request of one input."""
    message = oip.ModelInferRequest(model_name="m", id="1")
    message.inputs.add(name=name, datatype="FP32", shape=array.shape)
    message.raw_input_contents.append(array.tobytes())
    data: bytes = message.SerializeToString()
    return data


def digits() -> LiamModel:
    """Return the packed network."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        liam_core.write_binary_network(
            path, features=64, encoding_thresholds=np.full(64, 0.5, np.float32),
            hidden=[(rng.choice([-1, 1], (128, 64)), np.zeros(128, np.int32))],
            head_weights=rng.choice([-1, 1], (10, 128)),
        )  # fmt: skip
        return LiamModel(liam_core.BinaryNetwork.open(path))


def network_onnx(*widths: int) -> bytes:
    """Return a network of linear layers with Relu between them; one width alone is an identity."""
    rng = np.random.default_rng(0)
    nodes, weights, before = [], [], "x"
    for index, shape in enumerate(pairwise(widths)):
        weights.append(numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), f"w{index}"))
        nodes.append(helper.make_node("MatMul", [before, f"w{index}"], [f"h{index}"]))
        nodes.append(helper.make_node("Relu", [f"h{index}"], [f"r{index}"]))
        before = f"r{index}"
    nodes.append(helper.make_node("Identity", [before], ["y"]))
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", widths[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", widths[-1]])], weights,
    )  # fmt: skip
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def onnx_model(content: bytes) -> Model:
    """Return the model of a file's content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        return OnnxBackend().load({"model.onnx": path})


class Ordinary:
    """The way through protobuf and values, without counting."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._execution = Execution(ThreadPoolExecutor(4))

    def answer(self, loaded: LoadedModel, data: bytes) -> bytes:
        """Return an answer."""
        parsed = convert.read_request(data)
        read = inputs.read(loaded, parsed)
        running = self._execution.run(loaded, read.rows, read.raw, read.arrays)
        outputs = self._loop.run_until_complete(running)
        return convert.write_answer(loaded, parsed.id, outputs, {"prediction_id": "x", "digest": DIGEST})


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    x = np.random.default_rng(1).random((1, 64), np.float32)
    data = request("input", x)
    plain, loaded, activity = serve(digits(), "label")
    digested, _, other = serve(digits(), "label", DIGESTS)

    mlp = onnx_model(network_onnx(784, 128, 10))
    mlp_hot, _, _ = serve(mlp)
    mlp_x = np.random.default_rng(1).random((1, 784), np.float32)
    mlp_data = request("x", mlp_x)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(network_onnx(784, 128, 10), options, providers=["CPUExecutionProvider"])
    echo = onnx_model(network_onnx(262_144))
    _, echo_loaded, _ = serve(echo)
    echo_x = np.random.default_rng(1).random((1, 262_144), np.float32)
    echo_data = request("x", echo_x)

    ordinary = Ordinary()
    ways: dict[str, tuple[Callable[[], object], int, bool]] = {
        "digits": (lambda: plain.answer(data), 20_000, False),
        "digits, digests": (lambda: digested.answer(data), 20_000, False),
        "digits, busy": (lambda: plain.answer(data), 20_000, True),
        "digits, ordinary": (lambda: ordinary.answer(loaded, data), 300, False),
        "mlp, run alone": (lambda: session.run(["y"], {"x": mlp_x}), 2_000, False),
        "mlp": (lambda: mlp_hot.answer(mlp_data), 2_000, False),
        "echo, run alone": (lambda: echo.run({"x": echo_x}), 200, False),
        "echo, ordinary": (lambda: ordinary.answer(echo_loaded, echo_data), 200, False),
    }
    assert plain.answer(data) is not None
    assert mlp_hot.answer(mlp_data) is not None
    print(
        f"onnxruntime {onnxruntime.__version__}, LIAM level {liam_core.capabilities().level}, "
        f"SHA instructions {bool(codec.lib.oip_sha256_native())}; request {len(data)} bytes"
    )
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, times, busy) in ways.items():
            stop = threading.Event()
            thread = threading.Thread(target=spin, args=(stop,))
            if busy:
                thread.start()
            clock = time.perf_counter if busy else time.process_time
            started = clock()
            for _ in range(times):
                way()
            found[name].append((clock() - started) / times * 1e6)
            stop.set()
            if busy:
                thread.join()
            activity.forget_labels()
            other.forget_labels()
            digested.drain_receipts()
    for name, times in found.items():
        print(f"{name:18} median {statistics.median(times):9.2f} us   " + " ".join(f"{one:.2f}" for one in times))


def spin(stop: threading.Event) -> None:
    """Keep the interpreter busy."""
    while not stop.is_set():
        pass


if __name__ == "__main__":
    main()
