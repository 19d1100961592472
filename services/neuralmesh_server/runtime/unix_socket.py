"""The path of a Unix socket: taken over where nobody listens any more, private to its owner, removed at the end."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECT_SECONDS = 1.0


def make_way(path: str) -> None:
    """Remove a socket that a dead process left behind.

    Raises:
        SettingsError: Somebody listens there, or what is there is no socket or cannot be removed.
    """
    place = Path(path)
    try:
        if not stat.S_ISSOCK(place.lstat().st_mode):
            raise SettingsError(f"cannot listen on {path}: what is there is no socket")
        if _is_alive(path):
            raise SettingsError(f"cannot listen on {path}: another process does")
        place.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(f"cannot listen on {path}: {error.strerror}") from error


@contextmanager
def private() -> Iterator[None]:
    """Create sockets that only their owner may connect to, from their first moment on."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def remove(path: str) -> None:
    """Remove a socket where it is still there."""
    with suppress(FileNotFoundError):
        Path(path).unlink()


def _is_alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except (TimeoutError, BlockingIOError):  # its queue is full: it has an owner
            return True
        return True
