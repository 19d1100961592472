"""What runs on a worker of Dask: an action, from bytes to bytes. It is imported there, and knows nothing of Dask.

A worker keeps what it was given of versions in a folder of its own, under the names of their digests, and what it has
opened in memory; `Keeper` is that memory. Workers of Dask have as many threads as processors unless they are told
otherwise, so that each thread has a bench of its own: what reads data and writes results is for one at a time.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralmesh_server import datasets
from neuralmesh_server.errors import DataLossError, NeuralMeshError
from neuralmesh_server.labor import context
from neuralmesh_server.labor_engines import messages
from neuralmesh_server.labor_engines.action import Actions
from neuralmesh_server.labor_engines.failures import failure
from neuralmesh_server.labor_engines.models import open_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.inference.backends.backend import Model
    from neuralmesh_server.labor.desk import Lease

PREPARED = 4
"""Jobs that stay prepared."""


class Keeper:
    """Versions and jobs of one process; threads may share it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="neuralmesh-labor-")
        self._root = Path(self._folder.name)
        self._benches = threading.local()

    def keep(self, digest: str, data: bytes) -> None:
        """Keep a file of a version; raises ARTIFACT_CORRUPT where the bytes are not those of the digest."""
        actual = "sha256:" + hashlib.sha256(data).hexdigest()
        if actual != digest:
            raise DataLossError("ARTIFACT_CORRUPT", f"bytes of {digest} came as {actual}", digest=digest, why=actual)
        place = _place(self._root, digest)
        if place.exists():  # each thread of the worker is given it, and another one may be reading it
            return
        with tempfile.NamedTemporaryFile(dir=self._root, delete=False) as file:
            file.write(data)
        Path(file.name).replace(place)

    def run(self, text: str, lease: list[Any]) -> tuple[str, bytes] | tuple[str, str, bool]:
        """Return the canonical result of a shard and the bytes of its file, or why it could not be run.

        Args:
            text: The context of the job.
            lease: The lease, as messages have it.
        """
        try:
            bench: _Bench | None = getattr(self._benches, "own", None)
            if bench is None:
                bench = self._benches.own = _Bench(self._root)
            return bench.run(text, messages.lease(lease))
        except (NeuralMeshError, OSError, MemoryError) as error:
            why = failure(error)
            return why.reason, why.message, why.retryable


class _Bench:
    """What one thread has opened, and the file that it leaves results in."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._result = root / f"result-{threading.get_ident()}"
        self._models: dict[tuple[str, str], Model] = {}
        self._prepared: dict[str, tuple[Actions, datasets.Reader]] = {}

    def run(self, text: str, lease: Lease) -> tuple[str, bytes]:
        """Return the canonical result of a shard and the bytes of its file."""
        result = self._actions(text).run(lease, self._result, lambda: True)
        return result.encode().decode(), self._result.read_bytes()

    def _actions(self, text: str) -> Actions:
        if text not in self._prepared:
            job = context.parse(text.encode())
            models = []
            for pin in job.recipe.versions:
                files = {file.path: _place(self._root, file.digest) for file in pin.files}
                models.append(self._model(pin, files))
            reader = datasets.Reader(job.data, job.recipe.columns)
            self._prepared[text] = Actions(job.recipe, models, reader.read), reader
            for old in list(self._prepared)[:-PREPARED]:
                self._prepared.pop(old)[1].close()
        return self._prepared[text][0]

    def _model(self, pin: Any, files: Mapping[str, Path]) -> Model:
        key = pin.kind, pin.digest
        if key not in self._models:
            self._models[key] = open_version(pin, files)
            for old in list(self._models)[:-PREPARED]:
                del self._models[old]
        return self._models[key]


def _place(root: Path, digest: str) -> Path:
    return root / digest.removeprefix("sha256:")
