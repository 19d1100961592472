"""kill -9 of each service while the suite works: what survives, what is lost at most, and what is said about it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from liam_core import write_binary_network
from neuralmesh import Client
from neuralmesh.exceptions import InvalidArgumentError, UnavailableError
from neuralmesh.registry.v1 import resources_pb2
from tests.processes import Service, running_services, until

FEATURES, CLASSES = 16, 4
ROW = np.linspace(-1, 1, FEATURES, dtype=np.float32)[None]


@pytest.fixture
def services(tmp_path: Path) -> Iterator[dict[str, Service]]:
    with running_services(tmp_path) as services:
        yield services


@pytest.fixture
def client(services: dict[str, Service]) -> Iterator[Client]:
    addresses = {name: service.address for name, service in services.items()}
    with Client(**addresses, actor="tester", timeout=10) as client:
        yield client


def push(client: Client, folder: Path, seed: int) -> int:
    """Push a network whose weights follow from the seed; returns its version."""
    path = folder / f"{seed}.safetensors"
    weights = np.where(np.random.default_rng(seed).random((CLASSES, FEATURES)) < 0.5, -1, 1).astype(np.int8)
    write_binary_network(
        path, features=FEATURES, encoding_thresholds=np.zeros(FEATURES, np.float32), hidden=[], head_weights=weights
    )
    spec = resources_pb2.TensorSpec
    signature = resources_pb2.Signature(
        inputs=[spec(name="input", datatype="FP32", shape=[-1, FEATURES])],
        outputs=[
            spec(name="label", datatype="INT64", shape=[-1]),
            spec(name="scores", datatype="FP32", shape=[-1, CLASSES]),
        ],
        label_output="label",
    )
    return client.push("net", path, kind="liam.binary_network", signature=signature).version


def promote(client: Client, version: int, reason: str) -> None:
    """Promote and wait until the node serves it."""
    client.promote("net", version, reason=reason)
    until(lambda: serves(client, version), f"version {version} is served")


def serves(client: Client, version: int) -> bool:
    """Say whether the node answers with this version."""
    try:
        return client.infer("net", {"input": ROW}).version == version
    except UnavailableError:
        return False


def test_killed_node_comes_back_with_a_new_epoch_and_the_gap_is_counted(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """Ids from before a kill -9 still resolve, new ones never repeat them, and at most a second of counts is lost."""
    promote(client, push(client, tmp_path, 1), "first")
    answered: list[float] = []
    ids = []
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        ids.append(client.infer("net", {"input": ROW}).prediction_id)
        answered.append(time.monotonic())
    services["inference"].kill()
    killed = time.monotonic()
    services["inference"].start()
    until(lambda: serves(client, 1), "the node serves again")
    ids.append(client.infer("net", {"input": ROW}).prediction_id)

    assert len(set(ids)) == len(ids)
    before, after = client.trace(ids[0]), client.trace(ids[-1])
    assert before.version.version == after.version.version == 1
    assert before.node_start_time.ToNanoseconds() < after.node_start_time.ToNanoseconds()
    assert before.promotions[0].reason == "first"

    def gaps() -> int:
        return sum(node.gaps for node in client.metrics.get_operations().nodes)

    until(lambda: gaps() == 1, "the gap is counted")
    older = sum(moment < killed - 1 for moment in answered)
    assert older > 0
    assert client.metrics.get_version_metrics("net", 1).requests >= older


def test_node_that_stops_in_order_loses_nothing(services: dict[str, Service], client: Client, tmp_path: Path) -> None:
    """After SIGTERM every request is counted and no gap is."""
    version = push(client, tmp_path, 1)
    until(lambda: client.inference.model_ready("net", str(version)), "the version is ready")
    for _ in range(200):
        client.infer("net", {"input": ROW})
    services["inference"].stop()
    assert client.metrics.get_version_metrics("net", version).requests == 200
    (node,) = client.metrics.get_operations().nodes
    assert (node.gaps, node.running) == (0, False)


def kept(folder: Path) -> int:
    """Return the version that the node would serve again without the registry; 0 for none."""
    path = folder / "inference" / "replica.json"
    if not path.exists():
        return 0
    answering = json.loads(path.read_bytes())["effective"]
    return int(answering[0]["version"]) if answering else 0


def test_node_serves_while_the_registry_is_gone_and_catches_up(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """With the registry killed the node goes on, also over a restart of its own, and follows again when it is back."""
    first, second = push(client, tmp_path, 1), push(client, tmp_path, 2)
    promote(client, first, "first")
    services["registry"].kill()
    assert serves(client, first)
    until(lambda: kept(tmp_path) == first, "the node has written down what it serves")
    services["inference"].kill()
    services["inference"].start()
    until(lambda: serves(client, first), "the node serves from its own store")
    services["registry"].start()
    promote(client, second, "second")
    assert client.rollback("net", reason="back").alias.state.version == first
    until(lambda: serves(client, first), "the rollback reached the node")


def test_node_serves_and_counts_while_metrics_are_gone(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """Telemetry waits for the metrics service and every request is counted once when it is back."""
    version = push(client, tmp_path, 1)
    until(lambda: client.inference.model_ready("net", str(version)), "the version is ready")
    for step in ("kill", "start", "go on"):
        for _ in range(50):
            client.infer("net", {"input": ROW})
        if step == "kill":
            services["metrics"].kill()
        elif step == "start":
            services["metrics"].start()
    services["inference"].stop()
    figures = client.metrics.get_version_metrics("net", version)
    assert (figures.requests, figures.errors) == (150, 0)


def test_killed_node_loses_nothing_that_had_waited_for_metrics(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """With the metrics service away, what is older than an interval survives a kill -9 of the node."""
    version = push(client, tmp_path, 1)
    until(lambda: client.inference.model_ready("net", str(version)), "the version is ready")
    services["metrics"].kill()
    for _ in range(50):
        client.infer("net", {"input": ROW})
    last = time.time()
    spool = tmp_path / "inference" / "telemetry.spool"
    until(lambda: spool.exists() and spool.stat().st_mtime > last + 0.5, "the telemetry is written down")
    services["inference"].kill()
    services["metrics"].start()
    services["inference"].start()
    until(
        lambda: any(item.requests == 50 for item in client.metrics.list_version_metrics("net")),
        "all 50 requests are counted",
    )
    services["inference"].stop()
    assert client.metrics.get_version_metrics("net", version).requests == 50


def test_acknowledged_moves_survive_a_killed_registry(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """Every promotion that was answered before a kill -9 is in the history after it."""
    versions = [push(client, tmp_path, seed) for seed in (1, 2)]
    done = []
    for number in range(20):
        client.promote("net", versions[number % 2], reason=f"move {number}")
        done.append(f"move {number}")
    services["registry"].kill()
    services["registry"].start()

    def history() -> list[str]:
        try:
            return [event.reason for event in client.registry.list_events("net", "production")]
        except UnavailableError:
            return []

    until(lambda: bool(history()), "the registry answers again")
    assert history()[::-1] == done


def test_invented_prediction_id_is_refused(client: Client, tmp_path: Path) -> None:
    """An id that no node issued resolves to nothing, however well it is formed."""
    promote(client, push(client, tmp_path, 1), "first")
    issued = client.infer("net", {"input": ROW}).prediction_id
    assert client.trace(issued).version.version == 1
    last = "A" if issued[-1] != "A" else "B"
    for invented in (issued[:-1] + last, issued.replace("nm1.local", "nm1.other"), "nm1", ""):
        with pytest.raises(InvalidArgumentError) as raised:
            client.trace(invented)
        assert raised.value.reason == "PREDICTION_ID_INVALID"
