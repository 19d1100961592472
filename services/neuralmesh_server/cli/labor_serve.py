"""`neuralmesh labor serve`: the labor service in this process, until a signal stops it."""

from __future__ import annotations

from typing import Annotated

import typer

from neuralmesh_server.cli.environment import overlay, tls_flags
from neuralmesh_server.cli.services import Data, Insecure, Listen, Socket, TlsCa, TlsCert, TlsKey, serve
from neuralmesh_server.runtime import transport


def labor_serve(
    *,
    listen: Listen = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where Prometheus scrapes (NEURALMESH_LABOR_HTTP)."),
    ] = None,
    socket: Socket = None,
    data: Data = None,
    registry: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The registry (NEURALMESH_REGISTRY).")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes of this machine that run shards (NEURALMESH_LABOR_WORKERS); 0, the default, leaves all"
            " work to `neuralmesh labor worker`.",
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT|local",
            help="A Dask scheduler whose workers run shards, or `local` for a cluster of --workers processes"
            " (NEURALMESH_LABOR_DASK).",
        ),
    ] = None,
    keep_results: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="How long results are kept after their job ended or was submitted last, such as 30d"
            " (NEURALMESH_LABOR_KEEP_RESULTS); for ever by default.",
        ),
    ] = None,
    insecure: Insecure = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
) -> None:
    """Run the labor service (NEURALMESH_LABOR_LISTEN, NEURALMESH_LABOR_DATA)."""
    env = overlay(
        {
            "NEURALMESH_LABOR_LISTEN": listen,
            "NEURALMESH_LABOR_HTTP": http,
            "NEURALMESH_LABOR_SOCKET": socket,
            "NEURALMESH_LABOR_DATA": data,
            "NEURALMESH_REGISTRY": registry,
            "NEURALMESH_LABOR_WORKERS": None if workers is None else str(workers),
            "NEURALMESH_LABOR_DASK": dask,
            "NEURALMESH_LABOR_KEEP_RESULTS": keep_results,
            "NEURALMESH_INSECURE": "1" if insecure else None,
            **tls_flags(tls_cert, tls_key, tls_ca),
        }
    )
    transport.configure()
    from neuralmesh_server.labor.app import LaborApp  # noqa: PLC0415 - imports grpc
    from neuralmesh_server.labor_engines.engines import engines  # noqa: PLC0415
    from neuralmesh_server.settings_labor import LaborSettings  # noqa: PLC0415

    settings = LaborSettings.from_env(env)
    serve(lambda: LaborApp(settings, engines(settings)))
