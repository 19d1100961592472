"""`neuralmesh registry`, `inference` and `metrics`: one service in this process, until a signal stops it.

With `--workers` this process supervises several of `inference`, and imports nothing that serves.
Flags stand over environment variables; both are read by `settings`, which checks them.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from neuralmesh_server.cli.environment import overlay, tls_flags
from neuralmesh_server.runtime import transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.runtime.process import App
    from neuralmesh_server.settings import InferenceSettings

Listen = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where to listen.")]
Data = Annotated[str | None, typer.Option(metavar="DIR", help="Folder of what the service keeps.")]
Socket = Annotated[
    str | None, typer.Option(metavar="PATH", help="Unix socket beside the port (NEURALMESH_{SERVICE}_SOCKET).")
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Permit plain text beyond loopback.")]
TlsCert = Annotated[str | None, typer.Option(metavar="FILE", help="Certificate (NEURALMESH_TLS_CERT).")]
TlsKey = Annotated[str | None, typer.Option(metavar="FILE", help="Its key (NEURALMESH_TLS_KEY).")]
TlsCa = Annotated[str | None, typer.Option(metavar="FILE", help="The authority (NEURALMESH_TLS_CA).")]


def registry(
    *,
    listen: Listen = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where Prometheus scrapes the fleet (NEURALMESH_REGISTRY_HTTP)."),
    ] = None,
    socket: Socket = None,
    data: Data = None,
    insecure: Insecure = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
) -> None:
    """Run the registry service (NEURALMESH_REGISTRY_LISTEN, NEURALMESH_REGISTRY_DATA)."""
    env = overlay(
        {
            "NEURALMESH_REGISTRY_LISTEN": listen,
            "NEURALMESH_REGISTRY_HTTP": http,
            "NEURALMESH_REGISTRY_SOCKET": socket,
            "NEURALMESH_REGISTRY_DATA": data,
            "NEURALMESH_INSECURE": "1" if insecure else None,
            **tls_flags(tls_cert, tls_key, tls_ca),
        }
    )
    transport.configure()
    from neuralmesh_server.registry.app import RegistryApp  # noqa: PLC0415 - imports grpc
    from neuralmesh_server.settings import RegistrySettings  # noqa: PLC0415

    settings = RegistrySettings.from_env(env)
    serve(lambda: RegistryApp(settings))


def inference(
    *,
    listen: Listen = None,
    socket: Socket = None,
    data: Data = None,
    node: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the node (NEURALMESH_NODE).")] = None,
    registry: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The registry (NEURALMESH_REGISTRY).")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The metrics service (NEURALMESH_METRICS); empty for none."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that share the port, each a node (NEURALMESH_INFERENCE_WORKERS)."),
    ] = None,
    compat: Annotated[
        str | None, typer.Option(metavar="triton", help="Triton's name, error texts and codes (NEURALMESH_COMPAT).")
    ] = None,
    insecure: Insecure = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
) -> None:
    """Run an inference node (NEURALMESH_INFERENCE_LISTEN, NEURALMESH_INFERENCE_DATA)."""
    env = overlay(
        {
            "NEURALMESH_INFERENCE_LISTEN": listen,
            "NEURALMESH_INFERENCE_SOCKET": socket,
            "NEURALMESH_INFERENCE_DATA": data,
            "NEURALMESH_NODE": node,
            "NEURALMESH_REGISTRY": registry,
            "NEURALMESH_METRICS": metrics,
            "NEURALMESH_INFERENCE_WORKERS": None if workers is None else str(workers),
            "NEURALMESH_COMPAT": compat,
            "NEURALMESH_INSECURE": "1" if insecure else None,
            **tls_flags(tls_cert, tls_key, tls_ca),
        }
    )
    from neuralmesh_server.settings import InferenceSettings  # noqa: PLC0415

    settings = InferenceSettings.from_env(env)
    if settings.workers > 1 and not settings.worker:
        _supervise(settings, env)
    transport.configure()
    from neuralmesh_server.inference.app import InferenceApp  # noqa: PLC0415 - imports grpc

    serve(lambda: InferenceApp(settings), worker=settings.worker)


def metrics(
    *,
    listen: Listen = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where Prometheus scrapes (NEURALMESH_METRICS_HTTP); empty for none."),
    ] = None,
    socket: Socket = None,
    data: Data = None,
    insecure: Insecure = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
) -> None:
    """Run the metrics service (NEURALMESH_METRICS_LISTEN, NEURALMESH_METRICS_DATA)."""
    env = overlay(
        {
            "NEURALMESH_METRICS_LISTEN": listen,
            "NEURALMESH_METRICS_SOCKET": socket,
            "NEURALMESH_METRICS_HTTP": http,
            "NEURALMESH_METRICS_DATA": data,
            "NEURALMESH_INSECURE": "1" if insecure else None,
            **tls_flags(tls_cert, tls_key, tls_ca),
        }
    )
    transport.configure()
    from neuralmesh_server.metrics.app import MetricsApp  # noqa: PLC0415 - imports grpc
    from neuralmesh_server.settings import MetricsSettings  # noqa: PLC0415

    settings = MetricsSettings.from_env(env)
    serve(lambda: MetricsApp(settings))


def serve(make_app: Callable[[], App], *, worker: int = 0) -> None:
    """Run a service, as the worker of this number where it is not 0."""
    from neuralmesh_server.runtime import logs, process  # noqa: PLC0415 - imports uvloop and structlog

    logs.configure(worker=worker)
    process.run(make_app, supervised=worker > 0)


def _supervise(settings: InferenceSettings, env: dict[str, str]) -> None:
    """Run the workers of an inference node and exit with their code."""
    from neuralmesh_server.data_folder import DataFolder  # noqa: PLC0415
    from neuralmesh_server.runtime import logs  # noqa: PLC0415 - imports structlog
    from neuralmesh_server.runtime.workers import Port, Supervisor  # noqa: PLC0415

    logs.configure()
    for number in range(1, settings.workers + 1):
        settings.for_worker(number)  # what is wrong with a worker's settings is said once, here
    folder = DataFolder(settings.data, "inference node")
    port = Port(settings.server.listen)

    async def run() -> int:
        shared = {**env, "NEURALMESH_INFERENCE_LISTEN": str(port.endpoint)}
        supervisor = Supervisor(
            name="inference",
            command=[sys.executable, "-m", "neuralmesh_server", "inference"],
            environments=[
                {**shared, "NEURALMESH_INFERENCE_WORKER": str(number)} for number in range(1, settings.workers + 1)
            ],
            endpoint=port.endpoint,
            drain_seconds=settings.server.drain_seconds,
        )
        return await supervisor.run()

    code = asyncio.run(run())
    port.close()
    folder.close()
    raise typer.Exit(code)
