"""Files of versions on this machine: downloaded from the registry as jobs need them, verified before anybody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.inference.holding.artifacts import Artifacts
from neuralmesh_server.inference.holding.records import FileRecord, VersionRecord
from neuralmesh_server.inference.holding.store_claims import Claims

if TYPE_CHECKING:
    from pathlib import Path

    from neuralmesh_server.inference.holding.artifacts import Source
    from neuralmesh_server.labor.plan import VersionPin


class Versions:
    """Versions that jobs run; belongs to the loop.

    Args:
        folder: Where their files are kept. Several processes may share it.
        source: Where they come from.
    """

    def __init__(self, folder: Path, source: Source) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._artifacts = Artifacts(ContentStore(folder / "artifacts"), Claims(folder / "claims"), source)
        self._verified: dict[str, dict[str, Path]] = {}

    async def files(self, pin: VersionPin) -> dict[str, Path]:
        """Return where the files of a version are, by their paths in its manifest.

        They are read and verified when they are first asked for, and again where one has gone since.

        Raises:
            neuralmesh_server.inference.links.LinkError: A file is not here and the registry did not give it.
            NeuralMeshError: DIGEST_MISMATCH, STORAGE_FULL.
            OSError: The disk failed.
        """
        found = self._verified.get(pin.digest)
        if found is None or not all(path.is_file() for path in found.values()):
            files = tuple(FileRecord(file.path, file.size, file.digest) for file in pin.files)
            size = sum(file.size for file in files)
            record = VersionRecord(pin.model, pin.version, pin.digest, pin.kind, files, None, size)
            found = self._verified[pin.digest] = await self._artifacts.files(record)
        return found
