"""The node's identity on disk: its secret key, and the epochs it has used.

The key is made once and kept; an epoch is never used twice, whatever the clock does. The folder is locked, since two
processes on one folder would issue the same ids.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from neuralmesh_server import durable_file
from neuralmesh_server.data_folder import DataFolder
from neuralmesh_server.prediction_id import KEY_BYTES
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


class NodeFolder:
    """The data folder of a node, locked for this process until `close`.

    Attributes:
        key: Key of the checksums in prediction ids, 32 bytes.
        epoch_ms: Start of this process in milliseconds since 1970, greater than that of every earlier one.

    Raises:
        SettingsError: Another process holds the folder, it cannot be used, or the key file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ownership = DataFolder(folder, "inference node")
        try:
            self.key = self._read_key()
            self.epoch_ms = self._next_epoch()
        except BaseException:
            self._ownership.close()
            raise

    def close(self) -> None:
        """Unlock the folder."""
        self._ownership.close()

    def _read_key(self) -> bytes:
        path = self._folder / "node.key"
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            key = secrets.token_bytes(KEY_BYTES)
            durable_file.replace(path, key)
        if len(key) != KEY_BYTES:
            raise SettingsError(f"the node key {path} has {len(key)} bytes instead of {KEY_BYTES}")
        return key

    def _next_epoch(self) -> int:
        path = self._folder / "epoch"
        try:
            last = int(path.read_text())
        except FileNotFoundError:
            last = 0
        except ValueError:
            raise SettingsError(f"the epoch file {path} does not hold a number") from None
        epoch = max(time.time_ns() // 1_000_000, last + 1)
        durable_file.replace(path, str(epoch).encode())
        return epoch
