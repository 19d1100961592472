"""What an edge node keeps of its own on disk: small JSON files, each replaced whole and durably."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

from neuralmesh_server import durable_file
from neuralmesh_server.inference.edge.memory import Remembered
from neuralmesh_server.inference.edge.mesh import LocalMove

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = structlog.get_logger()


class MemoryFile:
    """The file `mesh.json` of a node's folder; see neuralmesh_server.inference.edge.memory.MemoryStore."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "mesh.json"

    def load(self) -> Remembered:
        """Return what was kept; nothing where there is none or it is damaged."""
        try:
            stored = json.loads(self._path.read_bytes())
            silent = stored["silent_seconds"]
            return Remembered(
                int(stored["highest"]),
                None if silent is None else max(float(silent), 0.0),
                bytes.fromhex(stored.get("event_hash", "")),
            )
        except FileNotFoundError:
            return Remembered()
        except (ValueError, KeyError, TypeError) as error:
            log.warning("edge_file_ignored", path=str(self._path), why=str(error))
            return Remembered()

    def save(self, remembered: Remembered) -> None:
        """Keep it durably; raises OSError."""
        _replace(self._path, asdict(remembered) | {"event_hash": remembered.event_hash.hex()})


class OverrideFile:
    """The file `overrides.json` of a node's folder; see neuralmesh_server.inference.edge.overrides.OverrideStore."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "overrides.json"

    def load(self) -> list[LocalMove]:
        """Return what was kept; nothing where there is none or it is damaged: then the registry's word holds."""
        try:
            return [LocalMove(**item) for item in json.loads(self._path.read_bytes())]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            log.warning("edge_file_ignored", path=str(self._path), why=str(error))
            return []

    def save(self, moves: Sequence[LocalMove]) -> None:
        """Keep them durably; raises OSError."""
        _replace(self._path, [asdict(move) for move in moves])


def _replace(path: Path, content: Any) -> None:
    durable_file.replace(path, json.dumps(content, separators=(",", ":")).encode())
