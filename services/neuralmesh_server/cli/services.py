"""`neuralmesh registry`, `inference` and `metrics`: one service in this process, until a signal stops it.

Flags stand over environment variables; both are read by `settings`, which checks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neuralmesh_server.cli.environment import overlay, tls_flags
from neuralmesh_server.runtime import transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.runtime.process import App

Listen = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where to listen.")]
Data = Annotated[str | None, typer.Option(metavar="DIR", help="Folder of what the service keeps.")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Permit plain text beyond loopback.")]
TlsCert = Annotated[str | None, typer.Option(metavar="FILE", help="Certificate (NEURALMESH_TLS_CERT).")]
TlsKey = Annotated[str | None, typer.Option(metavar="FILE", help="Its key (NEURALMESH_TLS_KEY).")]
TlsCa = Annotated[str | None, typer.Option(metavar="FILE", help="The authority (NEURALMESH_TLS_CA).")]


def registry(
    *,
    listen: Listen = None,
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
            "NEURALMESH_REGISTRY_DATA": data,
            "NEURALMESH_INSECURE": "1" if insecure else None,
            **tls_flags(tls_cert, tls_key, tls_ca),
        }
    )
    transport.configure()
    from neuralmesh_server.registry.app import RegistryApp  # noqa: PLC0415 - imports grpc
    from neuralmesh_server.settings import RegistrySettings  # noqa: PLC0415

    settings = RegistrySettings.from_env(env)
    _serve(lambda: RegistryApp(settings))


def inference(
    *,
    listen: Listen = None,
    data: Data = None,
    node: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the node (NEURALMESH_NODE).")] = None,
    registry: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The registry (NEURALMESH_REGISTRY).")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The metrics service (NEURALMESH_METRICS); empty for none."),
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
            "NEURALMESH_INFERENCE_DATA": data,
            "NEURALMESH_NODE": node,
            "NEURALMESH_REGISTRY": registry,
            "NEURALMESH_METRICS": metrics,
            "NEURALMESH_INSECURE": "1" if insecure else None,
            **tls_flags(tls_cert, tls_key, tls_ca),
        }
    )
    transport.configure()
    from neuralmesh_server.inference.app import InferenceApp  # noqa: PLC0415 - imports grpc
    from neuralmesh_server.settings import InferenceSettings  # noqa: PLC0415

    settings = InferenceSettings.from_env(env)
    _serve(lambda: InferenceApp(settings))


def metrics(
    *,
    listen: Listen = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where Prometheus scrapes (NEURALMESH_METRICS_HTTP); empty for none."),
    ] = None,
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
    _serve(lambda: MetricsApp(settings))


def _serve(make_app: Callable[[], App]) -> None:
    from neuralmesh_server.runtime import logs, process  # noqa: PLC0415 - imports uvloop and structlog

    logs.configure()
    process.run(make_app)
