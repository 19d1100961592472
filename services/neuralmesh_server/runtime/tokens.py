"""The file of those who may call: tokens by their digests, certificates by their names, and what each may do.

A token is 32 random bytes; the file keeps its SHA-256 only, so that whoever reads the file can call nothing. Servers
read the file again when it changes. One that cannot be read then is reported, and what was read before stays in force.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from neuralmesh_server import durable_file
from neuralmesh_server.runtime.access import INCLUDED, NODE, Access, Grant, Guard, Principal, token_digest
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from neuralmesh_server.runtime.access import Rule
    from neuralmesh_server.settings import ServerSettings

log = structlog.get_logger()

PREFIX = "nmt_"
FORMAT = 1
LOOK_SECONDS = 1.0
"""A change of the file is seen by the first call after this time."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,62}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PATTERN = re.compile(r"[a-z0-9._*?!\[\]-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the file: a principal, known by the digest of a token or, without one, by a certificate's name."""

    principal: Principal
    digest: str | None


def new_token() -> str:
    """Return a new token."""
    return PREFIX + secrets.token_urlsafe(32)


def make_entry(name: str, grants: Sequence[Grant], *, token: str | None, expires: float | None = None) -> Entry:
    """Return a checked entry.

    Args:
        name: Name of the token, or the common name of a certificate.
        grants: What it permits; at least one.
        token: The token, or None for a certificate.
        expires: Seconds since 1970, or None for never.

    Raises:
        SettingsError: The name, a role or a pattern is not of its form.
    """
    return _checked(Entry(Principal(name, tuple(grants), expires), None if token is None else token_digest(token)))


def read(path: Path) -> list[Entry]:
    """Return the entries of a file.

    Raises:
        SettingsError: The file cannot be read or is not of its form; the message names file and entry.
    """
    try:
        stored = json.loads(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"the tokens file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"the tokens file {path} is not JSON: {error}") from error
    try:
        return _entries(stored)
    except SettingsError as error:
        raise SettingsError(f"the tokens file {path}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"the tokens file {path} is not of its form: {type(error).__name__} {error}") from error


def write(path: Path, entries: Sequence[Entry]) -> None:
    """Replace a file: written beside, made durable, renamed; only its owner may read it.

    Raises:
        SettingsError: Two entries have one name.
        OSError: The disk refuses.
    """
    _check_distinct(entries)
    content = json.dumps({"format": FORMAT, "entries": [_item(entry) for entry in entries]}, indent=2) + "\n"
    durable_file.replace(path, content.encode())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other writers of a file out, so that none loses what another one wrote."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


class TokenFile:
    """The principals of a file; see neuralmesh_server.runtime.access.Directory.

    Args:
        path: The file.
        look_seconds: How long a look at the file serves.
        clock: Returns monotonic seconds.

    Raises:
        SettingsError: The file cannot be read at the start.
    """

    def __init__(
        self, path: Path, look_seconds: float = LOOK_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._look_seconds = look_seconds
        self._clock = clock
        self._seen = _stamp(path)
        self._take(read(path))
        self._next_look = clock() + look_seconds

    def by_token(self, digest: str) -> Principal | None:
        """Return the principal of a token by its digest."""
        self._look()
        return self._tokens.get(digest)

    def by_identity(self, identity: str) -> Principal | None:
        """Return the principal of a certificate's common name."""
        self._look()
        return self._identities.get(identity)

    def _look(self) -> None:
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + self._look_seconds
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            entries = read(self._path)
        except SettingsError as error:
            log.warning("tokens_file_ignored", path=str(self._path), why=str(error))
            return
        self._take(entries)
        log.info("tokens_file_read", path=str(self._path), entries=len(entries))

    def _take(self, entries: Sequence[Entry]) -> None:
        self._tokens = {entry.digest: entry.principal for entry in entries if entry.digest is not None}
        self._identities = {entry.principal.name: entry.principal for entry in entries if entry.digest is None}


def open_access(settings: ServerSettings) -> Access | None:
    """Return what tells who calls, or None where no tokens file is set.

    Raises:
        SettingsError: The file cannot be read.
    """
    return None if settings.tokens is None else Access(TokenFile(settings.tokens))


def guard(access: Access | None, rules: Mapping[str, Rule]) -> Guard | None:
    """Return the guard of a service, or None where access is off."""
    return None if access is None else Guard(access, rules)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _entries(stored: dict[str, Any]) -> list[Entry]:
    if stored["format"] != FORMAT:
        raise SettingsError(f"format {stored['format']!r} is not {FORMAT}")
    entries = [_checked(_entry(item)) for item in stored["entries"]]
    _check_distinct(entries)
    return entries


def _entry(item: dict[str, Any]) -> Entry:
    unknown = item.keys() - {"name", "identity", "sha256", "grants", "expires"}
    if unknown:
        raise SettingsError(f"unknown keys {', '.join(sorted(map(repr, unknown)))}")
    if ("name" in item) == ("identity" in item) or ("name" in item) != ("sha256" in item):
        raise SettingsError("an entry has either `name` and `sha256` or `identity`")
    grants = tuple(Grant(grant["role"], tuple(grant["models"])) for grant in item["grants"])
    expires = item.get("expires")
    moment = None if expires is None else parse_time(expires)
    return Entry(Principal(item.get("name") or item["identity"], grants, moment), item.get("sha256"))


def _item(entry: Entry) -> dict[str, Any]:
    principal = entry.principal
    key = {"identity": principal.name} if entry.digest is None else {"name": principal.name, "sha256": entry.digest}
    item: dict[str, Any] = {
        **key,
        "grants": [{"role": grant.role, "models": list(grant.models)} for grant in principal.grants],
    }
    if principal.expires is not None:
        item["expires"] = time_text(principal.expires)
    return item


def _checked(entry: Entry) -> Entry:
    name = entry.principal.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SettingsError(f"the name {name!r} does not match {_NAME.pattern}")
    if entry.digest is not None and not _DIGEST.fullmatch(entry.digest):
        raise SettingsError(f"sha256 of {name!r} is not 64 lower-case hexadecimal digits")
    if not entry.principal.grants:
        raise SettingsError(f"{name!r} has no role")
    for grant in entry.principal.grants:
        if grant.role not in INCLUDED:
            raise SettingsError(f"{name!r}: {grant.role!r} is none of the roles {', '.join(INCLUDED)}")
        if not grant.models or not all(_PATTERN.fullmatch(pattern) for pattern in grant.models):
            raise SettingsError(f"{name!r}: {list(grant.models)!r} are not patterns of model names")
        if grant.role == NODE and grant.models != ("*",):
            raise SettingsError(f"{name!r}: the role {NODE} follows the whole registry and is granted for '*' only")
    return entry


def _check_distinct(entries: Sequence[Entry]) -> None:
    names = [entry.principal.name for entry in entries]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SettingsError(f"more than one entry is named {', '.join(map(repr, repeated))}")


def parse_time(text: str) -> float:
    """Return seconds since 1970 of an ISO 8601 date or time; UTC where it names no offset.

    Raises:
        SettingsError: It is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise SettingsError(f"{text!r} is no date or time such as 2030-01-31 or 2030-01-31T12:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def time_text(seconds: float) -> str:
    """Return a moment as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
