"""`--workers`: several nodes on one port, what a killed one takes with it, and how all of them end."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from liam_core import write_binary_network
from neuralmesh import Client
from neuralmesh.exceptions import NeuralMeshError, NotFoundError, UnavailableError
from neuralmesh.registry.v1 import resources_pb2
from tests.processes import Service, until

FEATURES, CLASSES = 16, 4
WORKERS = 2
ROWS = np.random.default_rng(1).standard_normal((64, FEATURES)).astype(np.float32)


@pytest.fixture(params=[WORKERS])
def services(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, Service]]:
    registry, metrics = Service("registry", tmp_path).start(), Service("metrics", tmp_path).start()
    inference = Service(
        "inference",
        tmp_path,
        NEURALMESH_REGISTRY=registry.address,
        NEURALMESH_METRICS=metrics.address,
        NEURALMESH_INFERENCE_WORKERS=str(request.param),
        NEURALMESH_INFERENCE_SOCKET=str(tmp_path / "socket"),
        NEURALMESH_DRAIN_SECONDS="5",
    )
    services = {"registry": registry, "metrics": metrics, "inference": inference}
    try:
        inference.start()
        yield services
    finally:
        for service in services.values():
            service.kill()


@pytest.fixture
def client(services: dict[str, Service]) -> Iterator[Client]:
    with connect(services) as client:
        yield client


def connect(services: dict[str, Service]) -> Client:
    return Client(**{name: service.address for name, service in services.items()}, actor="tester", timeout=10)


def push(client: Client, folder: Path) -> np.ndarray:
    """Push and promote a network; returns the label of each row of ROWS."""
    path = folder / "net.safetensors"
    weights = np.where(np.random.default_rng(7).random((CLASSES, FEATURES)) < 0.5, -1, 1).astype(np.int8)
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
    version = client.push("net", path, kind="liam.binary_network", signature=signature).version
    client.promote("net", version, reason="first")
    return np.argmax(np.where(ROWS >= 0, 1, -1) @ weights.T.astype(np.int64), axis=1)


def worker_pids(service: Service) -> list[int]:
    """Return the processes whose parent is the supervisor."""
    assert service._process is not None
    listed = Path(f"/proc/{service._process.pid}/task/{service._process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


def node_of(prediction_id: str) -> str:
    """Return the node that made a prediction."""
    return prediction_id.split(".")[1]


def meet_all(services: dict[str, Service], number: int = WORKERS) -> set[str]:
    """Ask on new connections until every worker has answered; returns their nodes."""
    met: set[str] = set()

    def ask() -> bool:
        with connect(services) as client:
            try:
                met.add(node_of(client.infer("net", {"input": ROWS[:1]}).prediction_id))
            except (UnavailableError, NotFoundError):  # this worker has not heard of the model yet
                return False
        return len(met) == number

    until(ask, "all workers answer")
    return met


class Load:
    """Threads that ask on connections of their own, and check every answer."""

    def __init__(self, services: dict[str, Service], labels: np.ndarray, threads: int = 4) -> None:
        self.failures: Counter[str] = Counter()
        self.wrong = 0
        self.answered = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._services = services
        self._labels = labels
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]

    @contextmanager
    def running(self) -> Iterator["Load"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        with connect(self._services) as client:
            row = number
            while not self._stop.is_set():
                row = (row + 1) % len(ROWS)
                try:
                    answer = client.infer("net", {"input": ROWS[row : row + 1]})
                except NeuralMeshError as error:
                    with self._lock:
                        self.failures[error.code.name] += 1
                    continue
                with self._lock:
                    self.answered += 1
                    self.wrong += int(answer.outputs["label"][0] != self._labels[row])


def test_every_worker_is_a_node_of_its_own_on_one_port(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """Workers answer under names of their own, keep folders of their own, and share the artifacts."""
    labels = push(client, tmp_path)
    assert meet_all(services) == {"local-1", "local-2"}
    assert (client.infer("net", {"input": ROWS}).outputs["label"] == labels).all()
    folder = tmp_path / "inference"
    keys = {(folder / f"worker-{number}" / "node.key").read_bytes() for number in (1, 2)}
    assert len(keys) == WORKERS
    assert [path.name for path in folder.rglob("artifacts")] == ["artifacts"]
    services["inference"].stop()
    nodes = {node.node: node.gaps for node in client.metrics.get_operations().nodes}
    assert nodes == {"local-1": 0, "local-2": 0}


def test_the_supervisor_serves_nothing_and_loads_no_grpc(services: dict[str, Service]) -> None:
    """What watches over the workers is small: the transport's library is in the workers alone."""
    process = services["inference"]._process
    assert process is not None
    assert "cygrpc" not in Path(f"/proc/{process.pid}/maps").read_text()
    assert all("cygrpc" in Path(f"/proc/{pid}/maps").read_text() for pid in worker_pids(services["inference"]))


def test_statistics_are_those_of_all_workers(services: dict[str, Service], client: Client, tmp_path: Path) -> None:
    """Whichever worker is asked, its statistics count the requests of every worker."""
    push(client, tmp_path)
    meet_all(services)

    def counted() -> int:
        (statistics,) = client.inference.model_statistics("net").model_stats
        return int(statistics.inference_stats.success.count)

    before = counted()
    for _ in range(20):
        with connect(services) as other:
            other.infer("net", {"input": ROWS})
    for _ in range(10):
        with connect(services) as other:
            (statistics,) = other.inference.model_statistics("net").model_stats
            assert statistics.inference_stats.success.count == before + 20
            assert statistics.inference_count >= 20 * len(ROWS)


def test_a_killed_worker_is_replaced_under_load_and_its_loss_is_counted(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """A kill -9 of a worker costs its own unfinished calls alone: the rest are answered right, and a new one takes over."""
    labels = push(client, tmp_path)
    meet_all(services)
    until(lambda: len(client.metrics.get_operations().nodes) == WORKERS, "every worker has reported")
    before = worker_pids(services["inference"])
    with Load(services, labels).running() as load:
        until(lambda: load.answered > 200, "there is load")
        os.kill(before[0], signal.SIGKILL)
        answered = load.answered
        until(lambda: load.answered > answered + 200, "the others go on")
        until(lambda: len(set(worker_pids(services["inference"])) - {before[0]}) == WORKERS, "another one is started")
        meet_all(services)
    assert load.wrong == 0
    assert set(load.failures) <= {"UNAVAILABLE"}

    def gaps() -> int:
        return sum(node.gaps for node in client.metrics.get_operations().nodes)

    until(lambda: gaps() == 1, "the gap is counted")
    assert before[1] in worker_pids(services["inference"])


@pytest.mark.parametrize(("services", "number"), [(1, 1), (2, 2)], indirect=["services"])
def test_sigterm_under_load_finishes_what_was_accepted(
    services: dict[str, Service], client: Client, tmp_path: Path, number: int
) -> None:
    """One process or several: every call is answered right or refused with UNAVAILABLE, and every answer is counted."""
    labels = push(client, tmp_path)
    meet_all(services, number)
    pids = worker_pids(services["inference"])
    load = Load(services, labels)
    with load.running():
        until(lambda: load.answered > 200, "there is load")
        services["inference"].stop()
    assert load.wrong == 0
    assert set(load.failures) <= {"UNAVAILABLE"}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    counted = client.metrics.get_version_metrics("net", 1)
    assert counted.requests >= load.answered
    assert {node.gaps for node in client.metrics.get_operations().nodes} == {0}


def test_workers_end_when_their_supervisor_is_killed(services: dict[str, Service]) -> None:
    """Without a supervisor no worker goes on, and the folder and the port are free for the next one."""
    pids = worker_pids(services["inference"])
    assert len(pids) == WORKERS
    services["inference"].kill()
    until(lambda: not any(alive(pid) for pid in pids), "the workers have ended")
    services["inference"].start()
    services["inference"].stop()


def alive(pid: int) -> bool:
    """Say whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_unix_socket_belongs_to_the_first_worker(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """A client on the socket reaches worker 1, and the path is gone when the workers have stopped."""
    push(client, tmp_path)
    meet_all(services)
    place = tmp_path / "socket"
    assert place.stat().st_mode & 0o777 == 0o600
    with Client(inference=f"unix:{place}") as local:
        assert node_of(local.infer("net", {"input": ROWS[:1]}).prediction_id) == "local-1"
    services["inference"].stop()
    assert not place.exists()


def test_a_taken_port_is_said_before_any_worker_starts(services: dict[str, Service], tmp_path: Path) -> None:
    """Workers of another supervisor cannot join a port by accident."""
    environment = {
        "NEURALMESH_INFERENCE_LISTEN": services["inference"].address,
        "NEURALMESH_INFERENCE_DATA": str(tmp_path / "other"),
        "NEURALMESH_INFERENCE_WORKERS": "2",
    }
    run = subprocess.run(
        [sys.executable, "-m", "neuralmesh_server", "inference"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert "cannot listen on" in run.stderr
