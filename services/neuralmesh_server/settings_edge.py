"""Settings of an edge node that no other inference node has; `settings` reads them with the others."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuralmesh_server.endpoint import SettingsError
from neuralmesh_server.names import LABEL_KEY, LABEL_VALUE, MAX_LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MAX_BYTES = 2 * 1024**3
RECONNECT_SECONDS = 0.4
"""Longest pause before the registry is tried again: a node is to have converged within a second of its line."""

_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)(?:i?B)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What makes an inference node an edge node.

    Attributes:
        labels: What assignments select it by.
        max_bytes: Most bytes of artifacts that it may hold.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    max_bytes: int = DEFAULT_MAX_BYTES

    def __post_init__(self) -> None:
        if len(self.labels) > MAX_LABELS:
            raise SettingsError(f"NEURALMESH_EDGE_LABELS: {len(self.labels)} labels are more than {MAX_LABELS}")
        for key, value in self.labels.items():
            if not LABEL_KEY.fullmatch(key):
                raise SettingsError(f"NEURALMESH_EDGE_LABELS: the key {key!r} does not match {LABEL_KEY.pattern}")
            if not LABEL_VALUE.fullmatch(value):
                raise SettingsError(f"NEURALMESH_EDGE_LABELS: the value {value!r} does not match {LABEL_VALUE.pattern}")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> EdgeSettings:
        """Read NEURALMESH_EDGE_LABELS and _MAX_BYTES."""
        size = env.get("NEURALMESH_EDGE_MAX_BYTES")
        return cls(
            labels=read_labels(env.get("NEURALMESH_EDGE_LABELS", "")),
            max_bytes=_size("NEURALMESH_EDGE_MAX_BYTES", size) if size else DEFAULT_MAX_BYTES,
        )


def read_labels(text: str) -> dict[str, str]:
    """Read `site=oslo,tier=edge`; raises SettingsError."""
    labels: dict[str, str] = {}
    for part in text.split(",") if text.strip() else ():
        key, separator, value = part.strip().partition("=")
        if not separator or key in labels:
            why = "is not key=value" if not separator else "gives a key for the second time"
            raise SettingsError(f"NEURALMESH_EDGE_LABELS: {part!r} {why}")
        labels[key] = value
    return labels


def own_name() -> str:
    """Return this machine's name in the form of a node's name."""
    name = re.sub(r"[^a-z0-9-]", "-", socket.gethostname().partition(".")[0].lower()).strip("-")
    return (name if name[:1].isalpha() else f"edge-{name}".rstrip("-"))[:63]


def _size(name: str, text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise SettingsError(f"{name}: {text!r} is not a size such as 512M or 2G")
    return int(match[1]) << 10 * ("KMGT".index(match[2]) + 1 if match[2] else 0)
