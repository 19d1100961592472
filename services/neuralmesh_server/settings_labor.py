"""Settings of the labor service."""

from __future__ import annotations

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
    """

    server: ServerSettings
    data: Path
    registry: Endpoint = field(default_factory=lambda: Endpoint("127.0.0.1", REGISTRY_PORT))
    http: Endpoint | None = None
    token: str = field(default="", repr=False)
    workers: int = 0
    dask: str = ""
    lease_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= MAX_WORKERS:
            raise SettingsError(f"NEURALMESH_LABOR_WORKERS: {self.workers} is not from 0 to {MAX_WORKERS}")
        if self.lease_seconds < LEAST_LEASE_SECONDS:
            raise SettingsError(
                f"NEURALMESH_LABOR_LEASE_SECONDS: {self.lease_seconds} is less than {LEAST_LEASE_SECONDS}"
            )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> LaborSettings:
        """Read NEURALMESH_LABOR_LISTEN, _DATA, _HTTP, _WORKERS, _DASK, _LEASE_SECONDS, NEURALMESH_REGISTRY and more."""
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
        )
