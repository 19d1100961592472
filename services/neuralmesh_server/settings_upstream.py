"""Settings of the servers that run versions of kind `remote` for a node; `settings` reads them with the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from neuralmesh_server.endpoint import Endpoint, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class UpstreamCredentials:
    """What calls of one upstream carry.

    Attributes:
        address: The one address that they are meant for, so that a descriptor cannot have them sent elsewhere.
        token: Bearer token; empty for none.
        authority: PEM file of the authority that signed the upstream's certificate; None for the system's.
    """

    address: str
    token: str = field(default="", repr=False)
    authority: Path | None = None


_UPSTREAM = "NEURALMESH_UPSTREAM_"


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """What a node permits versions that other servers run.

    Attributes:
        permitted: Patterns of the addresses that descriptors may name, such as `*.models.internal:8001`.
        credentials: Credentials by the name that descriptors use.
    """

    permitted: tuple[str, ...] = ("*",)
    credentials: Mapping[str, UpstreamCredentials] = field(default_factory=dict)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> UpstreamSettings:
        """Read NEURALMESH_UPSTREAMS and, for each NAME, NEURALMESH_UPSTREAM_ADDRESS_NAME, _TOKEN_NAME and _CA_NAME."""
        permitted = tuple(part.strip() for part in env.get("NEURALMESH_UPSTREAMS", "*").split(","))
        found = {}
        for variable in env:
            kind, _, name = variable.removeprefix(_UPSTREAM).partition("_")
            if not variable.startswith(_UPSTREAM) or not name or kind not in {"ADDRESS", "TOKEN", "CA"}:
                continue
            address = f"{_UPSTREAM}ADDRESS_{name}"
            if not env.get(address):
                raise SettingsError(f"{variable} needs {address}: the one upstream that it is meant for")
            authority = env.get(f"{_UPSTREAM}CA_{name}")
            if authority and not Path(authority).is_file():
                raise SettingsError(f"{_UPSTREAM}CA_{name}: no file at {authority}")
            found[name.lower()] = UpstreamCredentials(
                str(Endpoint.parse(env[address], name=address)),
                env.get(f"{_UPSTREAM}TOKEN_{name}", ""),
                Path(authority) if authority else None,
            )
        return cls(permitted, found)
