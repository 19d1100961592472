"""Addresses of processes: a host and a port, or the path of a Unix socket. It opens nothing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names it."""


UNIX = "unix:"
"""What an address begins with that is the path of a Unix socket."""

_SOCKET_PATH_BYTES = 107
"""The system's limit."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a port, where port 0 lets the system choose when listening; or else the path of a Unix socket."""

    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str, *, name: str) -> Endpoint:
        """Read `host:port` or `[ipv6]:port`; `name` is the setting that an error names."""
        host, separator, port = text.rpartition(":")
        if not separator or not host or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > 65535:
            raise SettingsError(f"{name}: {text!r} is not host:port")
        return cls(host.strip("[]"), int(port))

    @classmethod
    def parse_peer(cls, text: str, *, name: str) -> Endpoint:
        """Read the address of another process, which may also be `unix:/path`."""
        return cls.unix(text.removeprefix(UNIX), name=name) if text.startswith(UNIX) else cls.parse(text, name=name)

    @classmethod
    def unix(cls, path: str, *, name: str) -> Endpoint:
        """Return the endpoint of a Unix socket."""
        if not path or len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
            raise SettingsError(f"{name}: {path!r} is no path of 1 to {_SOCKET_PATH_BYTES} bytes for a Unix socket")
        return cls("", 0, path)

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can reach the endpoint."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.path:
            return f"{UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
