"""Every setting, in frozen dataclasses, and the only reader of the environment.

Each `from_env` takes the environment as a mapping, so that tests and the command line pass their own. A variable that
cannot be read raises SettingsError, which names it. Defaults bind to loopback.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from neuralmesh_server.endpoint import UNIX, Endpoint, SettingsError
from neuralmesh_server.settings_edge import RECONNECT_SECONDS, EdgeSettings, own_name
from neuralmesh_server.settings_upstream import UpstreamCredentials, UpstreamSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "GRPC",
    "INFERENCE_PORT",
    "LABOR_PORT",
    "METRICS_HTTP_PORT",
    "METRICS_PORT",
    "NATIVE",
    "REGISTRY_PORT",
    "EdgeSettings",
    "Endpoint",
    "InferenceSettings",
    "MetricsSettings",
    "RegistrySettings",
    "ServerSettings",
    "SettingsError",
    "TlsSettings",
    "UpstreamCredentials",
    "UpstreamSettings",
    "read_flag",
    "read_number",
]

REGISTRY_PORT = 8003
INFERENCE_PORT = 8001
METRICS_PORT = 8004
LABOR_PORT = 8005
METRICS_HTTP_PORT = 8002
MAX_WORKERS = 64

NATIVE, GRPC = "native", "grpc"
"""What a server may listen with."""

_NODE_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


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
        tokens: File of those who may call (see runtime.tokens); None lets everybody call who reaches the server, which
            is this machine, or the holders of certificates that the authority signed.
        socket: Unix socket beside `listen`, in plain text.
        shared_port: Other processes listen on the same port; the system deals connections out to them.
        transport: `native` for the native front, which needs Linux and no TLS, else grpcio's server; `grpc` for that
            in any case.
    """

    listen: Endpoint
    tls: TlsSettings | None = None
    insecure: bool = False
    drain_seconds: float = 10.0
    tokens: Path | None = None
    socket: Endpoint | None = None
    shared_port: bool = False
    transport: str = NATIVE

    def __post_init__(self) -> None:
        if self.transport not in {NATIVE, GRPC}:
            raise SettingsError(f"NEURALMESH_TRANSPORT: {self.transport!r} is neither {NATIVE} nor {GRPC}")
        if not self.listen.is_loopback and self.tls is None and not self.insecure:
            raise SettingsError(
                f"listening on {self.listen} without TLS would let anyone on the network "
                f"{'read tokens' if self.tokens else 'in'}: set NEURALMESH_TLS_CERT, NEURALMESH_TLS_KEY and "
                "NEURALMESH_TLS_CA (`neuralmesh certs` makes them), or pass --insecure"
            )

    @classmethod
    def from_env(cls, env: Mapping[str, str], prefix: str, default_port: int) -> ServerSettings:
        """Read {prefix}_LISTEN, {prefix}_SOCKET, NEURALMESH_TLS_*, _INSECURE, _DRAIN_SECONDS, _TOKENS, _TRANSPORT."""
        name, socket = f"{prefix}_LISTEN", f"{prefix}_SOCKET"
        return cls(
            listen=Endpoint.parse(env.get(name, f"127.0.0.1:{default_port}"), name=name),
            tls=TlsSettings.from_env(env),
            insecure=read_flag(env, "NEURALMESH_INSECURE"),
            drain_seconds=read_number(env, "NEURALMESH_DRAIN_SECONDS", 10.0),
            tokens=Path(env["NEURALMESH_TOKENS"]) if env.get("NEURALMESH_TOKENS") else None,
            socket=Endpoint.unix(env[socket].removeprefix(UNIX), name=socket) if env.get(socket) else None,
            transport=env.get("NEURALMESH_TRANSPORT") or NATIVE,
        )


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Settings of the registry service.

    Attributes:
        server: See ServerSettings.
        data: Folder of the database and the artifacts.
        heartbeat_seconds: Longest silence on a stream of Watch or Sync.
        http: Where Prometheus scrapes the fleet; None, the default, for nowhere.
    """

    server: ServerSettings
    data: Path
    heartbeat_seconds: float = 10.0
    http: Endpoint | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> RegistrySettings:
        """Read NEURALMESH_REGISTRY_LISTEN, _DATA, _HTTP and what ServerSettings reads."""
        http = env.get("NEURALMESH_REGISTRY_HTTP")
        return cls(
            server=ServerSettings.from_env(env, "NEURALMESH_REGISTRY", REGISTRY_PORT),
            data=Path(env.get("NEURALMESH_REGISTRY_DATA", "data/registry")),
            http=Endpoint.parse(http, name="NEURALMESH_REGISTRY_HTTP") if http else None,
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
        token: What the node's own calls of registry and metrics carry, where these ask for it.
        workers: How many processes share the port; each is a node of its own.
        worker: Number of this process among them, from 1; 0 for a process that is alone or supervises them.
        shared: Folder of what the workers share; the data folder of a process that is alone.
        upstreams: What versions of kind `remote` may call.
        compat: `triton` for Triton's server name, error texts and codes; empty for the node's own.
        edge: Set for an edge node.
        upstream: The node that gets what this one cannot serve; None for none. It is no server of `upstreams`.
        hedge: Have `upstream` run as well what takes longer here than it used to.
        direct: Call `upstream` without grpcio where it is reached in plain text.
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
    token: str = field(default="", repr=False)
    workers: int = 1
    worker: int = 0
    shared: Path = Path()
    upstreams: UpstreamSettings = field(default_factory=UpstreamSettings)
    compat: str = ""
    edge: EdgeSettings | None = None
    upstream: Endpoint | None = None
    hedge: bool = False
    direct: bool = True

    def __post_init__(self) -> None:
        if self.compat not in {"", "triton"}:
            raise SettingsError(f"NEURALMESH_COMPAT: {self.compat!r} is not triton")
        if self.hedge and self.upstream is None:
            raise SettingsError("NEURALMESH_EDGE_HEDGE needs NEURALMESH_EDGE_UPSTREAM: who is to run what is hedged")
        if not _NODE_NAME.fullmatch(self.node):
            raise SettingsError(f"NEURALMESH_NODE: {self.node!r} does not match [a-z][a-z0-9-]{{0,62}}")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise SettingsError(f"NEURALMESH_INFERENCE_WORKERS: {self.workers} is not from 1 to {MAX_WORKERS}")
        if not 0 <= self.worker <= self.workers:
            raise SettingsError(f"NEURALMESH_INFERENCE_WORKER: {self.worker} is not from 1 to {self.workers}")
        if self.shared == Path():
            object.__setattr__(self, "shared", self.data)

    def for_worker(self, number: int) -> InferenceSettings:
        """Return the settings of one of the workers: a node of its own, with a folder of its own, on the same port.

        The first one has the Unix socket, since a socket's path cannot be shared.
        """
        server = replace(self.server, shared_port=True, socket=self.server.socket if number == 1 else None)
        return replace(
            self,
            server=server,
            node=f"{self.node}-{number}",
            data=self.data / f"worker-{number}",
            shared=self.data,
            worker=number,
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> InferenceSettings:
        """Read NEURALMESH_INFERENCE_*, _NODE, _REGISTRY, _METRICS, _KEEP_NEWEST, _TELEMETRY_SECONDS and so on."""
        metrics = env.get("NEURALMESH_METRICS", f"127.0.0.1:{METRICS_PORT}")
        settings = cls(
            server=ServerSettings.from_env(env, "NEURALMESH_INFERENCE", INFERENCE_PORT),
            data=Path(env.get("NEURALMESH_INFERENCE_DATA", "data/inference")),
            node=env.get("NEURALMESH_NODE", "local"),
            registry=Endpoint.parse_peer(
                env.get("NEURALMESH_REGISTRY", f"127.0.0.1:{REGISTRY_PORT}"), name="NEURALMESH_REGISTRY"
            ),
            metrics=Endpoint.parse_peer(metrics, name="NEURALMESH_METRICS") if metrics else None,
            keep_newest=int(read_number(env, "NEURALMESH_KEEP_NEWEST", 8)),
            telemetry_seconds=read_number(env, "NEURALMESH_TELEMETRY_SECONDS", 0.5),
            labels_per_delta=int(read_number(env, "NEURALMESH_LABELS_PER_DELTA", 5000)),
            token=env.get("NEURALMESH_TOKEN", ""),
            upstreams=UpstreamSettings.from_env(env),
            compat=env.get("NEURALMESH_COMPAT", ""),
            upstream=_read_peer(env, "NEURALMESH_EDGE_UPSTREAM"),
            hedge=read_flag(env, "NEURALMESH_EDGE_HEDGE"),
            direct=env.get("NEURALMESH_TRANSPORT") != GRPC,
            workers=int(read_number(env, "NEURALMESH_INFERENCE_WORKERS", 1)),
        )
        worker = int(read_number(env, "NEURALMESH_INFERENCE_WORKER", 0))
        return settings.for_worker(worker) if worker else settings

    @classmethod
    def for_edge(cls, env: Mapping[str, str]) -> InferenceSettings:
        """Read NEURALMESH_EDGE_LISTEN, _SOCKET and _STORE, what EdgeSettings reads, and the rest as `from_env` does.

        There are neither workers nor versions beside those that aliases need, and telemetry only where
        NEURALMESH_METRICS says so.
        """
        read = cls.from_env(
            {
                "NEURALMESH_METRICS": "",
                "NEURALMESH_NODE": own_name(),
                **env,
                "NEURALMESH_INFERENCE_WORKERS": "",
                "NEURALMESH_INFERENCE_WORKER": "",
            }
        )
        store = Path(env.get("NEURALMESH_EDGE_STORE") or "data/edge")
        return replace(
            read,
            server=ServerSettings.from_env(env, "NEURALMESH_EDGE", INFERENCE_PORT),
            data=store,
            shared=store,
            keep_newest=0,
            reconnect_seconds=RECONNECT_SECONDS,
            edge=EdgeSettings.from_env(env),
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


def _read_peer(env: Mapping[str, str], name: str) -> Endpoint | None:
    return Endpoint.parse_peer(env[name], name=name) if env.get(name) else None


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
