"""What runs on a worker of Dask: an action, from bytes to bytes. It is imported there, and knows nothing of Dask.

A worker keeps what it was given of versions in a folder of its own, under the names of their digests, and what it has
opened in memory; `Keeper` is that memory.
"""

from __future__ import annotations

import hashlib
import tempfile
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

PREPARED = 4
"""Jobs that stay prepared."""


class Keeper:
    """Versions and jobs of one process."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="neuralmesh-labor-")
        self._root = Path(self._folder.name)
        self._models: dict[tuple[str, str], Model] = {}
        self._prepared: dict[str, tuple[Actions, datasets.Reader]] = {}

    def keep(self, digest: str, data: bytes) -> None:
        """Keep a file of a version; raises ARTIFACT_CORRUPT where the bytes are not those of the digest."""
        actual = "sha256:" + hashlib.sha256(data).hexdigest()
        if actual != digest:
            raise DataLossError("ARTIFACT_CORRUPT", f"bytes of {digest} came as {actual}", digest=digest, why=actual)
        self._path(digest).write_bytes(data)

    def run(self, text: str, lease: list[Any]) -> tuple[str, bytes] | tuple[str, str, bool]:
        """Return the canonical result of a shard and the bytes of its file, or why it could not be run.

        Args:
            text: The context of the job.
            lease: The lease, as messages have it.
        """
        try:
            actions = self._actions(text)
            path = self._root / "result"
            result = actions.run(messages.lease(lease), path, lambda: True)
            return result.encode().decode(), path.read_bytes()
        except (NeuralMeshError, OSError, MemoryError) as error:
            why = failure(error)
            return why.reason, why.message, why.retryable

    def _actions(self, text: str) -> Actions:
        if text not in self._prepared:
            job = context.parse(text.encode())
            models = []
            for pin in job.recipe.versions:
                files = {file.path: self._path(file.digest) for file in pin.files}
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

    def _path(self, digest: str) -> Path:
        return self._root / digest.removeprefix("sha256:")
