"""Which models somebody unloaded, on disk: one JSON file, replaced whole, that all workers of a node share."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from neuralmesh_server import durable_file
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class UnloadedFile:
    """The file `unloaded.json` in a folder that exists; all methods block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "unloaded.json"

    def load(self) -> frozenset[str]:
        """Return the names of the unloaded models.

        Raises:
            SettingsError: The file is damaged. It is not ignored, since that would serve what was taken out of service.
        """
        try:
            return _names(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return frozenset()
        except (ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"{self._path} does not say which models are unloaded ({error}); repair it, or delete it to serve all"
            ) from error

    def change(self, model: str, *, unloaded: bool) -> frozenset[str]:
        """Add or remove a name; returns all names. Durable when this returns, and nothing changed when it raises."""
        with self._alone():
            before = self.load()
            after = before | {model} if unloaded else before - {model}
            if after != before:
                self._save(after)
            return after

    def stamp(self) -> tuple[int, int]:
        """Return what tells one content of the file from another."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return (0, 0)
        return (found.st_ino, found.st_mtime_ns)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self._folder / "unloaded.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _save(self, models: frozenset[str]) -> None:
        durable_file.replace(self._path, json.dumps({"models": sorted(models)}).encode())


def _names(stored: Any) -> frozenset[str]:
    names = stored["models"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("`models` is no list of names")
    return frozenset(names)
