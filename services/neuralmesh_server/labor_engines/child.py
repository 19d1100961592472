"""A process that runs shards, one after the other: `python -m neuralmesh_server.labor_engines.child FD RESULTS`.

One thread works, so that as many processes as there are cores keep those busy and no more; another one listens, and
ends the process when the pool is gone. A defect ends the process too, and the pool sees that at once. What is imported
is what the first shard needs: a process is ready in a fraction of a second.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralmesh_server import datasets
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.labor import context
from neuralmesh_server.labor_engines import messages
from neuralmesh_server.labor_engines.action import Actions
from neuralmesh_server.labor_engines.failures import Failure, failure
from neuralmesh_server.labor_engines.models import open_version
from neuralmesh_server.labor_engines.rows import UnwantedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.inference.backends.backend import Model
    from neuralmesh_server.labor.desk import Lease
    from neuralmesh_server.labor.plan import VersionPin

MODELS_KEPT = 4
"""Versions that stay open beyond the jobs that need them."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the pool tells of it: its context, and where the files of its versions are."""

    context: context.JobContext
    files: tuple[Mapping[str, Path], ...]


class Child:
    """The process.

    Args:
        line: What connects it with the pool.
        results: Folder that files of results are left in, under names that no other process uses.
    """

    def __init__(self, line: socket.socket, results: Path) -> None:
        self._line = line
        self._results = results
        self._inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._dropped: set[int] = set()
        self._jobs: dict[str, Job] = {}
        self._actions: dict[str, Actions] = {}
        self._readers: dict[str, datasets.Reader] = {}
        self._models: dict[tuple[str, str], Model] = {}
        self._files = 0

    def run(self) -> None:
        """Run what comes, for ever."""
        threading.excepthook = _end  # a thread that is missing would be waited for
        threading.Thread(target=self._listen, name="listener", daemon=True).start()
        self._send({"ready": os.getpid()})
        while True:
            message = self._inbox.get()
            if "run" in message:
                self._shard(messages.lease(message["run"]))
            elif "open" in message:
                said = message["open"]
                files = tuple({name: Path(path) for name, path in paths.items()} for paths in said["files"])
                self._jobs[said["job"]] = Job(context.parse(said["context"].encode()), files)
            elif "close" in message:
                self._close(message["close"])

    def _listen(self) -> None:
        stream = self._line.makefile("rb")
        with contextlib.suppress(ConnectionError):
            while (message := messages.read(stream.read)) is not None:
                if "drop" in message:
                    self._dropped.add(message["drop"])
                else:
                    self._inbox.put(message)
        os._exit(0)  # the pool is gone; what is under way is of no use

    def _close(self, name: str) -> None:
        self._jobs.pop(name, None)
        if self._actions.pop(name, None) is not None:
            self._readers.pop(name).close()

    def _shard(self, lease: Lease) -> None:
        started = time.monotonic_ns()
        self._files += 1
        path = self._results / f"{os.getpid()}-{self._files}"
        try:
            result = self._prepared(lease.job).run(lease, path, lambda: lease.token not in self._dropped)
        except UnwantedError:
            self._fail(lease, Failure("CANCELLED", "its lease was lost", retryable=True))
        except (NeuralMeshError, OSError, MemoryError) as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            self._fail(lease, failure(error))
        else:
            self._send(
                {
                    "done": {
                        "token": lease.token,
                        "result": result.encode().decode(),
                        "digest": result.output_digest,
                        "file": path.name,
                        "nanoseconds": time.monotonic_ns() - started,
                    }
                }
            )

    def _prepared(self, name: str) -> Actions:
        if name not in self._actions:
            job = self._jobs[name]
            recipe = job.context.recipe
            models = [self._model(pin, files) for pin, files in zip(recipe.versions, job.files, strict=True)]
            self._readers[name] = reader = datasets.Reader(job.context.data, recipe.columns)
            self._actions[name] = Actions(recipe, models, reader.read)
        return self._actions[name]

    def _model(self, pin: VersionPin, files: Mapping[str, Path]) -> Model:
        key = pin.kind, pin.digest
        model = self._models.pop(key, None) or open_version(pin, files)
        self._models[key] = model  # the newest are at the end
        for old in list(self._models)[:-MODELS_KEPT]:
            del self._models[old]
        return model

    def _fail(self, lease: Lease, why: Failure) -> None:
        self._send({"failed": [lease.token, why.reason, why.message, why.retryable]})

    def _send(self, message: Fact) -> None:
        data = messages.encode(message)
        try:
            self._line.sendall(data)
        except OSError:
            os._exit(0)  # as in `_listen`


def _end(found: threading.ExceptHookArgs) -> None:
    traceback.print_exception(found.exc_type, found.exc_value, found.exc_traceback)
    os._exit(70)  # EX_SOFTWARE


def main() -> None:
    """Run the process; whoever interrupts the pool from a terminal interrupts the pool, which ends this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Child(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])).run()


if __name__ == "__main__":
    main()
