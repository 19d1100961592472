"""Settings of the labor service."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from neuralmesh_server.settings import (
    LABOR_PORT,
    REGISTRY_PORT,
    Endpoint,
    ServerSettings,
    SettingsError,
    read_number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_WORKERS = 256
LEAST_LEASE_SECONDS = 1.0
LEAST_KEEP_SECONDS = 60.0

_DURATION = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


@dataclass(frozen=True, slots=True)
class LaborSettings:
    """Settings of the labor service.

    Attributes:
        server: See ServerSettings.
        data: Folder of the database, of plans, outputs and manifests.
        registry: Address of the registry.
        http: Where Prometheus scrapes; None, the default, for nowhere.
        token: What the service's own calls of the registry carry, where it asks for it.
        workers: Processes of this machine that run shards; 0 leaves all work to workers that dial in.
        dask: Address of a Dask scheduler whose workers run shards, or `local` for a cluster of as many processes of
            this machine as `workers`; empty for none.
        lease_seconds: How long a lease holds without being renewed.
        keep_seconds: How long results are kept after their job ended or was submitted last; None for ever.
    """

    server: ServerSettings
    data: Path
    registry: Endpoint = field(default_factory=lambda: Endpoint("127.0.0.1", REGISTRY_PORT))
    http: Endpoint | None = None
    token: str = field(default="", repr=False)
    workers: int = 0
    dask: str = ""
    lease_seconds: float = 10.0
    keep_seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= MAX_WORKERS:
            raise SettingsError(f"NEURALMESH_LABOR_WORKERS: {self.workers} is not from 0 to {MAX_WORKERS}")
        if self.lease_seconds < LEAST_LEASE_SECONDS:
            raise SettingsError(
                f"NEURALMESH_LABOR_LEASE_SECONDS: {self.lease_seconds} is less than {LEAST_LEASE_SECONDS}"
            )
        if self.keep_seconds is not None and self.keep_seconds < LEAST_KEEP_SECONDS:
            raise SettingsError(f"NEURALMESH_LABOR_KEEP_RESULTS: {self.keep_seconds:g} s is less than a minute")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> LaborSettings:
        """Read NEURALMESH_LABOR_LISTEN, _DATA, _HTTP, _WORKERS, _DASK, _LEASE_SECONDS, _KEEP_RESULTS and more."""
        keep = env.get("NEURALMESH_LABOR_KEEP_RESULTS")
        http = env.get("NEURALMESH_LABOR_HTTP")
        return cls(
            server=ServerSettings.from_env(env, "NEURALMESH_LABOR", LABOR_PORT),
            data=Path(env.get("NEURALMESH_LABOR_DATA") or "data/labor"),
            registry=Endpoint.parse_peer(
                env.get("NEURALMESH_REGISTRY") or f"127.0.0.1:{REGISTRY_PORT}", name="NEURALMESH_REGISTRY"
            ),
            http=Endpoint.parse(http, name="NEURALMESH_LABOR_HTTP") if http else None,
            token=env.get("NEURALMESH_TOKEN", ""),
            workers=int(read_number(env, "NEURALMESH_LABOR_WORKERS", 0)),
            dask=env.get("NEURALMESH_LABOR_DASK", ""),
            lease_seconds=read_number(env, "NEURALMESH_LABOR_LEASE_SECONDS", 10.0),
            keep_seconds=_seconds("NEURALMESH_LABOR_KEEP_RESULTS", keep) if keep else None,
        )


def _seconds(name: str, text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise SettingsError(f"{name}: {text!r} is not a duration such as 90m, 12h or 30d")
    return float(int(match[1]) * _UNITS[match[2]])
