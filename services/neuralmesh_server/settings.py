"""Every setting, in frozen dataclasses, and the only reader of the environment.

Each `from_env` takes the environment as a mapping, so that tests and the command line pass their own. A variable that
cannot be read raises SettingsError, which names it. Defaults bind to loopback.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REGISTRY_PORT = 8003
INFERENCE_PORT = 8001
METRICS_PORT = 8004
METRICS_HTTP_PORT = 8002

_NODE_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a port; port 0 lets the system choose when listening."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, name: str) -> Endpoint:
        """Read `host:port` or `[ipv6]:port`; `name` is the setting that an error names."""
        host, separator, port = text.rpartition(":")
        if not separator or not host or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > 65535:
            raise SettingsError(f"{name}: {text!r} is not host:port")
        return cls(host.strip("[]"), int(port))

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can reach the endpoint."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Mutual TLS: this process's certificate and key, and the authority that signs its peers' (PEM files)."""

    certificate: Path
    key: Path
    authority: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> TlsSettings | None:
        """Read NEURALMESH_TLS_CERT, _KEY and _CA: all three or none."""
        names = ("NEURALMESH_TLS_CERT", "NEURALMESH_TLS_KEY", "NEURALMESH_TLS_CA")
        given = [name for name in names if env.get(name)]
        if not given:
            return None
        if len(given) < len(names):
            raise SettingsError(f"mutual TLS needs {', '.join(names)}; only {', '.join(given)} is set")
        paths = [Path(env[name]) for name in names]
        for name, path in zip(names, paths, strict=True):
            if not path.is_file():
                raise SettingsError(f"{name}: no file at {path}")
        return cls(*paths)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What every gRPC server needs to know.

    Attributes:
        listen: Where to listen.
        tls: Mutual TLS, or None for plain text.
        insecure: Permit plain text on an address that others can reach.
        drain_seconds: How long accepted calls may go on after the signal to stop.
    """

    listen: Endpoint
    tls: TlsSettings | None = None
    insecure: bool = False
    drain_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.listen.is_loopback and self.tls is None and not self.insecure:
            raise SettingsError(
                f"listening on {self.listen} without TLS would let anyone on the network in: set NEURALMESH_TLS_CERT, "
                "NEURALMESH_TLS_KEY and NEURALMESH_TLS_CA (`neuralmesh certs` makes them), or pass --insecure"
            )

    @classmethod
    def from_env(cls, env: Mapping[str, str], prefix: str, default_port: int) -> ServerSettings:
        """Read {prefix}_LISTEN, the TLS variables, NEURALMESH_INSECURE and NEURALMESH_DRAIN_SECONDS."""
        name = f"{prefix}_LISTEN"
        return cls(
            listen=Endpoint.parse(env.get(name, f"127.0.0.1:{default_port}"), name=name),
            tls=TlsSettings.from_env(env),
            insecure=read_flag(env, "NEURALMESH_INSECURE"),
            drain_seconds=read_number(env, "NEURALMESH_DRAIN_SECONDS", 10.0),
        )


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Settings of the registry service.

    Attributes:
        server: See ServerSettings.
        data: Folder of the database and the artifacts.
        heartbeat_seconds: Longest silence on a Watch stream.
    """

    server: ServerSettings
    data: Path
    heartbeat_seconds: float = 10.0

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> RegistrySettings:
        """Read NEURALMESH_REGISTRY_LISTEN, _DATA and what ServerSettings reads."""
        return cls(
            server=ServerSettings.from_env(env, "NEURALMESH_REGISTRY", REGISTRY_PORT),
            data=Path(env.get("NEURALMESH_REGISTRY_DATA", "data/registry")),
        )


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """Settings of an inference node.

    Attributes:
        server: See ServerSettings.
        node: Name of the node, `[a-z][a-z0-9-]{0,62}`.
        registry: Address of the registry.
        metrics: Address of the metrics service; None sends no telemetry.
        data: Folder of the node's key, its last known state and its artifacts.
        keep_newest: How many of the newest versions of a model stay loaded beside those that aliases name.
        telemetry_seconds: Interval of the deltas; at most this much telemetry is lost by a kill.
        labels_per_delta: Most predictions whose labels one delta reports; what is over is counted as dropped.
        reconnect_seconds: Longest pause before the registry is tried again.
    """

    server: ServerSettings
    data: Path
    node: str = "local"
    registry: Endpoint = field(default_factory=lambda: Endpoint("127.0.0.1", REGISTRY_PORT))
    metrics: Endpoint | None = field(default_factory=lambda: Endpoint("127.0.0.1", METRICS_PORT))
    keep_newest: int = 8
    telemetry_seconds: float = 0.5
    labels_per_delta: int = 5000
    reconnect_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not _NODE_NAME.fullmatch(self.node):
            raise SettingsError(f"NEURALMESH_NODE: {self.node!r} does not match [a-z][a-z0-9-]{{0,62}}")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> InferenceSettings:
        """Read NEURALMESH_INFERENCE_*, _NODE, _REGISTRY, _METRICS, _KEEP_NEWEST, _TELEMETRY_SECONDS and so on."""
        metrics = env.get("NEURALMESH_METRICS", f"127.0.0.1:{METRICS_PORT}")
        return cls(
            server=ServerSettings.from_env(env, "NEURALMESH_INFERENCE", INFERENCE_PORT),
            data=Path(env.get("NEURALMESH_INFERENCE_DATA", "data/inference")),
            node=env.get("NEURALMESH_NODE", "local"),
            registry=Endpoint.parse(
                env.get("NEURALMESH_REGISTRY", f"127.0.0.1:{REGISTRY_PORT}"), name="NEURALMESH_REGISTRY"
            ),
            metrics=Endpoint.parse(metrics, name="NEURALMESH_METRICS") if metrics else None,
            keep_newest=int(read_number(env, "NEURALMESH_KEEP_NEWEST", 8)),
            telemetry_seconds=read_number(env, "NEURALMESH_TELEMETRY_SECONDS", 0.5),
            labels_per_delta=int(read_number(env, "NEURALMESH_LABELS_PER_DELTA", 5000)),
        )


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Settings of the metrics service.

    Attributes:
        server: See ServerSettings.
        http: Where Prometheus scrapes; None switches that off.
        data: Folder of the database.
        running_seconds: A node that has been silent for longer does not count as running.
    """

    server: ServerSettings
    data: Path
    http: Endpoint | None = field(default_factory=lambda: Endpoint("127.0.0.1", METRICS_HTTP_PORT))
    running_seconds: float = 5.0

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> MetricsSettings:
        """Read NEURALMESH_METRICS_LISTEN, _HTTP, _DATA and what ServerSettings reads."""
        http = env.get("NEURALMESH_METRICS_HTTP", f"127.0.0.1:{METRICS_HTTP_PORT}")
        return cls(
            server=ServerSettings.from_env(env, "NEURALMESH_METRICS", METRICS_PORT),
            data=Path(env.get("NEURALMESH_METRICS_DATA", "data/metrics")),
            http=Endpoint.parse(http, name="NEURALMESH_METRICS_HTTP") if http else None,
        )


def read_flag(env: Mapping[str, str], name: str) -> bool:
    """Read a switch: 1, true, yes or 0, false, no, or empty."""
    value = env.get(name, "").strip().lower()
    if value in {"1", "true", "yes"}:
        return True
    if value in {"", "0", "false", "no"}:
        return False
    raise SettingsError(f"{name}: {value!r} is neither true nor false")


def read_number(env: Mapping[str, str], name: str, default: float) -> float:
    """Read a non-negative number."""
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{name}: {text!r} is not a number") from None
    if not 0 <= value < float("inf"):
        raise SettingsError(f"{name}: {text!r} is not a finite number from 0")
    return value
