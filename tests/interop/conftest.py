"""The three services as real processes with two small models, shared by the interoperability tests."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.processes import ROOT, Suite
from liam_core import write_binary_network
from neuralmesh import Client
from neuralmesh.registry.v1 import resources_pb2

FEATURES, CLASSES = 64, 10
TOOLS = ROOT / ".tools"


@dataclass(frozen=True)
class Served:
    """Models that the running services serve.

    Attributes:
        suite: The processes.
        client: Connected to them.
        expected: For each model, what it answers.
    """

    suite: Suite
    client: Client
    expected: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]]

    def address(self, service: str) -> str:
        return self.suite.addresses[service]


def until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{seconds} seconds passed and it is still not so that {what}"
        time.sleep(0.02)


def signature() -> resources_pb2.Signature:
    spec = resources_pb2.TensorSpec
    return resources_pb2.Signature(
        inputs=[spec(name="input", datatype="FP32", shape=[-1, FEATURES])],
        outputs=[
            spec(name="label", datatype="INT64", shape=[-1]),
            spec(name="scores", datatype="FP32", shape=[-1, CLASSES]),
        ],
        label_output="label",
    )


def linear_onnx(weights: np.ndarray) -> bytes:
    """Return a model whose scores are `input @ weights` and whose label is the greatest score."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["input", "weights"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        "linear",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, FEATURES])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, CLASSES]),
        ],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("suite")
    random = np.random.default_rng(5)
    weights = random.standard_normal((FEATURES, CLASSES)).astype(np.float32)
    signs = np.where(random.random((CLASSES, FEATURES)) < 0.5, -1, 1).astype(np.int8)
    (folder / "linear.onnx").write_bytes(linear_onnx(weights))
    write_binary_network(
        folder / "bits.safetensors",
        features=FEATURES,
        encoding_thresholds=np.zeros(FEATURES, np.float32),
        hidden=[],
        head_weights=signs,
    )

    def linear(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = x @ weights
        return scores.argmax(axis=1), scores

    def bits(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = (np.where(x >= 0, 1, -1) @ signs.T).astype(np.float32)
        return scores.argmax(axis=1), scores

    with Suite(folder) as suite, Client(**suite.addresses, actor="interop") as client:
        for model, file, kind in (
            ("linear", "linear.onnx", "onnx"),
            ("bits", "bits.safetensors", "liam.binary_network"),
        ):
            version = client.push(model, folder / file, kind=kind, signature=signature(), reason="interop")
            client.promote(model, version.version, reason="interop")
            until(lambda model=model: client.inference.model_ready(model, "production"), f"{model} is ready")
        yield Served(suite, client, {"linear": linear, "bits": bits})


@pytest.fixture(params=["linear", "bits"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rows() -> np.ndarray:
    """Three rows of random features."""
    return np.random.default_rng(11).standard_normal((3, FEATURES)).astype(np.float32)
