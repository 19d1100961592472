"""The folder that one registry process owns: its lock, its database, its artifacts."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


class DataFolder:
    """Holds the lock from construction to `close`; the system drops it when the process dies.

    Raises:
        SettingsError: Another process holds the folder, or it cannot be used.
    """

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root.chmod(0o700)  # it holds the nodes' keys
            self._lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(f"the data folder {root} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise SettingsError(f"another registry process uses the data folder {root}") from None
        self.database = root / "registry.sqlite"
        self.artifacts = root / "artifacts"

    def close(self) -> None:
        """Give the folder up. Repeating it changes nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
