"""kill -9 in the middle of swaps, with requests under way: what fails, what answers, and where everybody ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from neuralmesh import Client
from neuralmesh.exceptions import NeuralMeshError, UnavailableError
from tests.e2e.test_survival import ROW, client, promote, push, serves, services
from tests.processes import Service, until

__all__ = ["client", "services"]


class Traffic:
    """Answers to one row, asked for over and over; each is held against the version that it names."""

    def __init__(self, expected: dict[int, np.ndarray]) -> None:
        self.expected = expected
        self.right = 0
        self.wrong: list[int] = []
        self.failures: list[NeuralMeshError] = []
        self._stop = threading.Event()

    @contextmanager
    def running(self, address: str) -> Iterator[None]:
        """Ask from a thread of its own."""
        thread = threading.Thread(target=self._ask, args=(address,))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _ask(self, address: str) -> None:
        with Client(inference=address, timeout=10) as own:
            while not self._stop.is_set():
                try:
                    answer = own.infer("net", {"input": ROW})
                except NeuralMeshError as error:
                    self.failures.append(error)
                    continue
                if answer.outputs["scores"].tobytes() == self.expected[answer.version].tobytes():
                    self.right += 1
                else:
                    self.wrong.append(answer.version)


@pytest.fixture
def traffic(client: Client, tmp_path: Path) -> Traffic:
    """Traffic for two versions whose answers differ; the first is promoted."""
    versions = [push(client, tmp_path, seed) for seed in (1, 2)]
    promote(client, versions[0], "first")
    until(lambda: client.inference.model_ready("net", "2"), "both are ready")
    expected = {version: client.infer("net", {"input": ROW}, version=version).outputs["scores"] for version in versions}
    assert expected[1].tobytes() != expected[2].tobytes()
    return Traffic(expected)


@contextmanager
def swapping(services: dict[str, Service]) -> Iterator[list[int]]:
    """Move the alias to and fro from a thread, through every failure; yields the versions that were acknowledged."""
    acknowledged: list[int] = []
    stop = threading.Event()

    def swap() -> None:
        with Client(registry=services["registry"].address, timeout=2) as own:
            while not stop.is_set():
                version = 2 if acknowledged[-1:] == [1] else 1
                try:
                    own.promote("net", version, reason="to and fro")
                except NeuralMeshError:
                    continue
                acknowledged.append(version)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        thread.join()


def test_the_registry_dies_during_swaps(services: dict[str, Service], client: Client, traffic: Traffic) -> None:
    """No request fails, every answer is what its version says, and the node ends where the registry does."""
    with traffic.running(services["inference"].address), swapping(services) as acknowledged:
        for _ in range(2):
            done = len(acknowledged)
            until(lambda done=done: len(acknowledged) > done + 10, "the alias moves")
            services["registry"].kill()
            before = traffic.right
            until(lambda before=before: traffic.right > before + 50, "the node goes on")
            services["registry"].start()
        done = len(acknowledged)
        until(lambda: len(acknowledged) > done + 10, "the alias moves again")
    assert (traffic.failures, traffic.wrong) == ([], [])
    final = client.registry.get_alias("net", "production").state.version
    until(lambda: serves(client, final), "the node follows")


def test_the_node_dies_during_swaps(services: dict[str, Service], client: Client, traffic: Traffic) -> None:
    """Calls fail as UNAVAILABLE while the node is away, every answer is right, and the node ends where the registry does."""
    with traffic.running(services["inference"].address), swapping(services) as acknowledged:
        for _ in range(2):
            before = traffic.right
            until(lambda before=before: traffic.right > before + 50, "the node answers")
            services["inference"].kill()
            services["inference"].start()
        before = traffic.right
        until(lambda: traffic.right > before + 50, "the node answers again")
    assert acknowledged
    assert traffic.wrong == []
    assert {type(error) for error in traffic.failures} <= {UnavailableError}
    final = client.registry.get_alias("net", "production").state.version
    until(lambda: serves(client, final), "the node follows")
