"""Callers of a site: each asks the edge beside it, and the other one where that one is gone."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import numpy as np

from neuralmesh import Client, exceptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

PAUSE_SECONDS = 0.002


@dataclass(slots=True)
class Tally:
    """What callers saw.

    Attributes:
        answered: Answers by edge and version.
        elsewhere: Answers that the other edge gave.
        failed: Requests that nobody answered, with why.
        wrong: Answers that are not what their version says.
        microseconds: Time of every answer.
    """

    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    elsewhere: int = 0
    failed: list[str] = field(default_factory=list)
    wrong: int = 0
    microseconds: list[float] = field(default_factory=list)


class Traffic:
    """Requests without end, until it is left; a context manager.

    Args:
        addresses: Returns where the edges listen, by name.
        model: Name of the model.
        rows: What is sent, one row at a time.
        expected: The labels of all rows by version.
    """

    def __init__(
        self,
        addresses: Callable[[], Mapping[str, str]],
        model: str,
        rows: NDArray[np.float32],
        expected: Mapping[int, NDArray[np.int64]],
    ) -> None:
        self._addresses = addresses
        self._model = model
        self._rows = rows
        self._expected = expected
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self.tally = Tally()
        self._callers = [threading.Thread(target=self._call, args=(name,)) for name in addresses()]

    def __enter__(self) -> Self:
        for caller in self._callers:
            caller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for caller in self._callers:
            caller.join()

    def count(self) -> int:
        """Return how many requests were made so far."""
        return sum(self.tally.answered.values()) + len(self.tally.failed)

    def _call(self, name: str) -> None:
        addresses = self._addresses()
        order = [name, *(other for other in addresses if other != name)]
        clients = {edge: Client(inference=addresses[edge], timeout=5.0) for edge in order}
        number = 0
        while not self._ending.is_set():
            self._one(order, clients, number % len(self._rows))
            number += 1
            time.sleep(PAUSE_SECONDS)
        for client in clients.values():
            client.close()

    def _one(self, order: Sequence[str], clients: Mapping[str, Client], row: int) -> None:
        started, why = time.perf_counter(), ""
        for edge in order:
            try:
                answer = clients[edge].infer(self._model, {"input": self._rows[row : row + 1]}, version="production")
            except (exceptions.NeuralMeshError, grpc.RpcError) as error:
                why = f"{edge}: {error}"
                continue
            right = int(answer.outputs["label"][0]) == int(self._expected[answer.version][row])
            with self._lock:
                tally = self.tally
                tally.answered[edge, answer.version] += 1
                tally.elsewhere += edge != order[0]
                tally.wrong += not right
                tally.microseconds.append((time.perf_counter() - started) * 1e6)
            return
        with self._lock:
            self.tally.failed.append(why)
