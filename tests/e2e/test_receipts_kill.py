"""kill -9 of a node that keeps receipts: what is there afterwards, and that what is not is counted to the last one."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuralmesh import Client
from neuralmesh.exceptions import NeuralMeshError, NotFoundError, UnavailableError
from neuralmesh.registry.v1 import resources_pb2
from tests.e2e.test_survival import ROW, promote, push, serves
from tests.processes import Service, until

POLICY = resources_pb2.ReceiptPolicy
CONTENTS = {"digests": POLICY.CONTENT_DIGESTS, "payloads": POLICY.CONTENT_PAYLOADS}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[dict[str, Service]]:
    registry = Service("registry", tmp_path).start()
    inference = Service("inference", tmp_path, NEURALMESH_REGISTRY=registry.address, NEURALMESH_METRICS="")
    try:
        yield {"registry": registry, "inference": inference.start()}
    finally:
        inference.kill()
        registry.kill()


@pytest.fixture
def client(services: dict[str, Service]) -> Iterator[Client]:
    addresses = {name: service.address for name, service in services.items()}
    with Client(**addresses, actor="tester", timeout=10) as client:
        yield client


def keep_all(client: Client, content: str) -> None:
    """Record every prediction of the model, and wait until the node does."""
    receipts = POLICY(mode=POLICY.MODE_ALL, content=CONTENTS[content])
    client.registry.set_model_policy("net", resources_pb2.ModelPolicy(receipts=receipts))

    def kept() -> bool:
        return is_kept(client, client.infer("net", {"input": ROW}).prediction_id)

    until(kept, "receipts are kept")


def is_kept(client: Client, prediction_id: str) -> bool:
    """Say whether the node has a receipt."""
    try:
        return client.node.get_receipt(prediction_id).prediction_id == prediction_id
    except NotFoundError:
        return False


def lost(client: Client) -> int:
    """Return how many receipts the node says it lost."""
    return client.node.list_receipts_page("net", page_size=1).lost_receipts


@pytest.mark.parametrize("content", CONTENTS)
def test_a_kill_under_load_loses_the_last_moment_and_counts_it(
    services: dict[str, Service], client: Client, tmp_path: Path, content: str
) -> None:
    """Receipts of answers older than a second are there, and lost + kept is what was answered, in flight or not."""
    promote(client, push(client, tmp_path, 1), "first")
    keep_all(client, content)
    before = {receipt.prediction_id for receipt in client.node.list_receipts("net")}
    answered: dict[str, float] = {}
    stop = threading.Event()

    def ask() -> None:
        with Client(inference=services["inference"].address, timeout=5) as own:
            while not stop.is_set():
                try:
                    answered[own.infer("net", {"input": ROW}).prediction_id] = time.monotonic()
                except NeuralMeshError:
                    return  # the node is gone

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    until(lambda: time.monotonic() - min([*answered.values()], default=time.monotonic()) > 2, "some answers are older")
    services["inference"].kill()
    killed = time.monotonic()
    stop.set()
    for asker in askers:
        asker.join()
    services["inference"].start()
    until(lambda: serves(client, 1), "the node serves again")

    kept = {receipt.prediction_id for receipt in client.node.list_receipts("net")}
    old = {prediction for prediction, moment in answered.items() if moment < killed - 1}
    assert len(old) > 20
    assert old <= kept
    missing = answered.keys() - kept
    # An answer that was made but never arrived is due as well: at most one for each asker.
    assert len(missing) <= lost(client) <= len(missing) + len(askers)
    assert before <= kept


@pytest.mark.parametrize("content", CONTENTS)
def test_what_a_kill_took_is_counted_exactly(
    services: dict[str, Service], client: Client, tmp_path: Path, content: str
) -> None:
    """With nothing in flight, the answers without a receipt after a kill are exactly as many as the node counts."""
    promote(client, push(client, tmp_path, 1), "first")
    keep_all(client, content)
    asked: list[str] = []

    def answers() -> bool:
        try:
            asked.append(client.infer("net", {"input": ROW}).prediction_id)
        except UnavailableError:
            return False
        return True

    for _ in range(2):
        assert all(answers() for _ in range(20))
        assert is_kept(client, asked[-1])  # which writes what waits
        assert all(answers() for _ in range(20))
        services["inference"].kill()
        services["inference"].start()
        until(answers, "the node serves again")
    missing = {prediction for prediction in asked if not is_kept(client, prediction)}
    assert lost(client) == len(missing)
    assert len(missing) <= 42  # what was asked between the writing and the kill, and once after the first one


def test_a_node_that_stops_in_order_loses_no_receipt(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """After SIGTERM every receipt is there, and they replay on the next process."""
    promote(client, push(client, tmp_path, 1), "first")
    keep_all(client, "payloads")
    asked = [client.infer("net", {"input": ROW}).prediction_id for _ in range(50)]
    services["inference"].stop()
    services["inference"].start()
    until(lambda: serves(client, 1), "the node serves again")
    assert all(is_kept(client, prediction) for prediction in asked)
    assert lost(client) == 0
    run = subprocess.run(
        [sys.executable, "-m", "neuralmesh_server", "replay", asked[0], "--inference", services["inference"].address],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "identical: the same bits" in run.stdout


def test_a_worker_finds_the_receipts_of_the_others(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """Whichever worker is asked, a prediction that any of them made is found and replayed."""
    version = push(client, tmp_path, 1)
    receipts = POLICY(mode=POLICY.MODE_ALL, content=POLICY.CONTENT_PAYLOADS)
    client.registry.set_model_policy("net", resources_pb2.ModelPolicy(receipts=receipts))
    workers = Service(
        "inference",
        tmp_path / "workers",
        NEURALMESH_REGISTRY=services["registry"].address,
        NEURALMESH_METRICS="",
        NEURALMESH_NODE="crew",
        NEURALMESH_INFERENCE_WORKERS="2",
    )
    (tmp_path / "workers").mkdir()
    made: dict[str, str] = {}

    def ask(what: str) -> None:
        # A connection stays with the worker that it was dealt to.
        with Client(inference=workers.address, timeout=5) as own:
            if what == "predict":
                answer = own.infer("net", {"input": ROW}, version=version)
                made[answer.node] = answer.prediction_id
            else:
                for node, prediction in made.items():
                    assert own.node.get_receipt(prediction).node == node
                    replay = own.node.replay_prediction(prediction)
                    assert replay.verdict == replay.VERDICT_IDENTICAL

    def both_answer() -> bool:
        try:
            ask("predict")
        except UnavailableError:
            return False
        return len(made) == 2

    def found() -> bool:
        try:
            ask("find")
        except NotFoundError:  # its worker has not written it yet
            return False
        return True

    try:
        workers.start()
        until(both_answer, "both workers have answered")
        assert made.keys() == {"crew-1", "crew-2"}
        for _ in range(8):
            until(found, "every worker finds both receipts")
        workers.stop()
    finally:
        workers.kill()
