"""The folder that one process owns: private to its user, and locked while the process runs.

It says who may write there, not what is in it.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


class DataFolder:
    """Holds the lock from construction to `close`; the system drops it when the process dies.

    Args:
        root: The folder; it is created where it does not exist; where this user owns it, nobody else may enter it.
        owner: What kind of process holds it, for the message to a second one.

    Raises:
        SettingsError: Another process holds the folder, or it cannot be used.
    """

    def __init__(self, root: Path, owner: str) -> None:
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if root.stat().st_uid == os.geteuid():  # an orchestrator's volume keeps the mode that it was given
                root.chmod(0o700)  # it holds keys or what was predicted for whom
            self._lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(f"the data folder {root} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            if isinstance(error, BlockingIOError):
                raise SettingsError(f"another {owner} uses the data folder {root}") from None
            raise SettingsError(f"the data folder {root} cannot be locked: {error.strerror}") from error

    def close(self) -> None:
        """Give the folder up. Repeating it changes nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
