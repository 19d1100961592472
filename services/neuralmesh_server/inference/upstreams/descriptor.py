"""`remote.json`: which server runs a version, and what it must prove. Knows no connection and no environment.

The file is data of the registry that everyone may read, so no secret stands in it: it may name credentials, and the
node's own environment says what they are and for which address they are meant.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical, names
from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FILE_NAME = "remote.json"
MAX_BYTES = 65_536
MAX_TIMEOUT_MS = 3_600_000
DEFAULT_TIMEOUT_MS = 60_000

TLS_OFF = "off"
TLS_SYSTEM = "system"
TLS_MESH = "mesh"

_ADDRESS = re.compile(
    r"(?:\[[0-9a-fA-F:.]{2,45}\]|[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,252})):(?P<port>[1-9][0-9]{0,4})", re.ASCII
)
_CREDENTIALS = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_MOST_TEXT = 256
_MOST_SHOWN = 100


class DescriptorError(ValueError):
    """A descriptor is not valid; the message says what and why."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What `remote.json` says.

    Attributes:
        address: `host:port` or `[ipv6]:port`.
        model: Name of the model on the upstream.
        version: Its version there; empty leaves the choice to the upstream.
        expects_digest: Digest that a Neural Mesh upstream must name in its answers; empty for no such demand.
        tls: "off", "system" (the certificate must be good for the host) or "mesh" (the node's own mutual TLS).
        credentials: Name of credentials in the node's environment; empty for none.
        timeout_ms: Longest wait for an answer, whatever deadline the caller has.
    """

    address: str
    model: str
    version: str = ""
    expects_digest: str = ""
    tls: str = TLS_OFF
    credentials: str = ""
    timeout_ms: int = DEFAULT_TIMEOUT_MS

    def __post_init__(self) -> None:
        for key, check in _CHECKS.items():
            check(key, getattr(self, key))

    @property
    def label(self) -> str:
        """Address and model for people, as `host:port/model` or `host:port/model/version`."""
        return "/".join(part for part in (self.address, self.model, self.version) if part)

    def encode(self) -> bytes:
        """Return the canonical bytes; what has its default is left out."""
        fact: dict[str, canonical.Fact] = {"address": self.address, "model": self.model}
        for key, default in _DEFAULTS.items():
            if getattr(self, key) != default:
                fact[key] = getattr(self, key)
        return canonical.encode(fact)


def parse(data: bytes) -> Descriptor:
    """Return the descriptor in a file's content.

    Raises:
        DescriptorError: The content is not one JSON object, or a key is unknown, missing, given twice or wrong.
    """
    if len(data) > MAX_BYTES:
        raise DescriptorError(f"has {len(data)} bytes; at most {MAX_BYTES} are permitted")
    try:
        found = json.loads(data.decode(), object_pairs_hook=_unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DescriptorError(f"is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise DescriptorError("is no JSON object")
    if found.pop("unary", True) is not True:
        raise DescriptorError("has another 'unary' than true: upstreams are asked by unary calls only")
    unknown = sorted(found.keys() - {"address", "model", *_DEFAULTS})
    if unknown:
        raise DescriptorError(f"has the unknown keys {_shown(unknown)}; it may have {['address', 'model', *_DEFAULTS]}")
    for key in ("address", "model"):
        if key not in found:
            raise DescriptorError(f"has no {key!r}")
    return Descriptor(**found)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DescriptorError("has a key twice")
    return found


def _check_address(key: str, value: object) -> None:
    if isinstance(value, str) and "@" in value:
        raise DescriptorError(
            f"has credentials in its {key!r}; name them with 'credentials' and put them into the node's environment"
        )
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match["port"]) > 65_535:
        raise DescriptorError(f"has the {key} {_shown(value)}, which is not host:port or [ipv6]:port")


def _check_text(key: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > _MOST_TEXT or not (value.isprintable() and value.isascii()):
        raise DescriptorError(f"has a {key!r} that is not text of at most {_MOST_TEXT} printable ASCII characters")


def _check_model(key: str, value: object) -> None:
    _check_text(key, value)
    if not value:
        raise DescriptorError(f"has an empty {key!r}")


def _check_digest(key: str, value: object) -> None:
    _check_text(key, value)
    if value:
        try:
            names.check_digest(str(value))
        except InvalidArgumentError as error:
            raise DescriptorError(f"has a wrong {key!r}: {error.message}") from error


def _check_tls(key: str, value: object) -> None:
    if value not in (TLS_OFF, TLS_SYSTEM, TLS_MESH):
        raise DescriptorError(f"has the {key} {_shown(value)}; it may be {TLS_OFF!r}, {TLS_SYSTEM!r} or {TLS_MESH!r}")


def _check_credentials(key: str, value: object) -> None:
    if not isinstance(value, str) or (value and not _CREDENTIALS.fullmatch(value)):
        raise DescriptorError(f"has {key} that are no name of the form [a-z][a-z0-9_]{{0,62}}")


def _check_timeout(key: str, value: object) -> None:
    if type(value) is not int or not 1 <= value <= MAX_TIMEOUT_MS:
        raise DescriptorError(f"has the {key} {_shown(value)}, which is no whole number from 1 to {MAX_TIMEOUT_MS}")


def _shown(value: object) -> str:
    return ascii(value)[:_MOST_SHOWN]


_CHECKS: dict[str, Callable[[str, object], None]] = {
    "address": _check_address,
    "model": _check_model,
    "version": _check_text,
    "expects_digest": _check_digest,
    "tls": _check_tls,
    "credentials": _check_credentials,
    "timeout_ms": _check_timeout,
}

_DEFAULTS: dict[str, str | int] = {
    "version": "",
    "expects_digest": "",
    "tls": TLS_OFF,
    "credentials": "",
    "timeout_ms": DEFAULT_TIMEOUT_MS,
}
