"""How a command reaches the services: flags over environment variables over loopback.

`connected` gives a command the flags --registry, --inference, --metrics, --labor, --tls-cert, --tls-key, --tls-ca,
--timeout and --actor, and hands it a client made from them. The actor defaults to the system's name of the user. A
token comes from NEURALMESH_TOKEN alone, since flags are seen by everyone on the machine.
"""

from __future__ import annotations

import functools
import getpass
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from neuralmesh_server.cli.environment import overlay, tls_flags
from neuralmesh_server.cli.exit_codes import CommandError, of_status
from neuralmesh_server.settings import (
    INFERENCE_PORT,
    LABOR_PORT,
    METRICS_PORT,
    REGISTRY_PORT,
    Endpoint,
    SettingsError,
    TlsSettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuralmesh import Client

_ADDRESS = "HOST:PORT"
_FLAGS: dict[str, Any] = {
    "registry": Annotated[str | None, typer.Option(metavar=_ADDRESS, help="The registry (NEURALMESH_REGISTRY).")],
    "inference": Annotated[
        str | None, typer.Option(metavar=_ADDRESS, help="The inference node (NEURALMESH_INFERENCE).")
    ],
    "metrics": Annotated[str | None, typer.Option(metavar=_ADDRESS, help="The metrics service (NEURALMESH_METRICS).")],
    "labor": Annotated[str | None, typer.Option(metavar=_ADDRESS, help="The labor array (NEURALMESH_LABOR).")],
    "tls_cert": Annotated[str | None, typer.Option(metavar="FILE", help="Certificate (NEURALMESH_TLS_CERT).")],
    "tls_key": Annotated[str | None, typer.Option(metavar="FILE", help="Its key (NEURALMESH_TLS_KEY).")],
    "tls_ca": Annotated[str | None, typer.Option(metavar="FILE", help="The authority (NEURALMESH_TLS_CA).")],
    "timeout": Annotated[float, typer.Option(metavar="SECONDS", min=0.001, help="Longest wait for an answer.")],
    "actor": Annotated[str | None, typer.Option(metavar="NAME", help="Who asks, where TLS does not say it.")],
}
_DEFAULTS: dict[str, object] = {"timeout": 30.0}


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the flags of a connection instead of the parameter `client`."""

    def call(flags: Mapping[str, Any], arguments: dict[str, Any]) -> None:
        with open_client(flags) as client:
            run(command, client=client, **arguments)

    return _flagged(command, "client", call)


def addressed(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the flags of a connection instead of the parameter `options`: arguments for clients.

    For commands that open connections of their own kind or number.
    """

    def call(flags: Mapping[str, Any], arguments: dict[str, Any]) -> None:
        run(command, options=client_options(flags), **arguments)

    return _flagged(command, "options", call)


def _flagged(
    command: Callable[..., None], given: str, call: Callable[[Mapping[str, Any], dict[str, Any]], None]
) -> Callable[..., None]:
    """Return a command with the flags instead of the parameter `given`; `call` gets them and the other arguments."""

    @functools.wraps(command)
    def wrapper(**arguments: Any) -> None:
        call({name: arguments.pop(name) for name in _FLAGS}, arguments)

    del command.__annotations__[given]  # the rest is evaluated for typer; its type is imported only when it runs
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != given
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=annotation)
        for name, annotation in _FLAGS.items()
    ]
    described: Any = wrapper
    described.__signature__ = inspect.Signature([*own, *added])
    described.__annotations__ = {**hints, **_FLAGS}
    del described.__wrapped__  # typer must not look behind the signature
    return wrapper


def run(command: Callable[..., None], **arguments: Any) -> None:
    """Call a command; a failed call of a service raises CommandError with the exit code of its status."""
    from neuralmesh.exceptions import NeuralMeshError  # noqa: PLC0415 - imports grpc

    try:
        command(**arguments)
    except NeuralMeshError as error:
        raise CommandError(error.message, error.reason, of_status(error.code.name)) from error


def open_client(flags: Mapping[str, Any]) -> Client:
    """Return a client for the given flags; what is absent comes from the environment.

    Raises:
        SettingsError: An address or TLS file is wrong; the message names it.
    """
    from neuralmesh import Client  # noqa: PLC0415 - imports grpc, which waits for the transport

    return Client(**client_options(flags))


def client_options(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client, synchronous or not, for the given flags over the environment.

    Raises:
        SettingsError: An address or TLS file is wrong; the message names it.
    """
    from neuralmesh import TlsFiles  # noqa: PLC0415 - as above

    env = overlay(
        {
            "NEURALMESH_REGISTRY": flags.get("registry"),
            "NEURALMESH_INFERENCE": flags.get("inference"),
            "NEURALMESH_METRICS": flags.get("metrics"),
            "NEURALMESH_LABOR": flags.get("labor"),
            "NEURALMESH_ACTOR": flags.get("actor"),
            **tls_flags(flags.get("tls_cert"), flags.get("tls_key"), flags.get("tls_ca")),
        }
    )
    tls = TlsSettings.from_env(env)
    if tls is not None:
        from neuralmesh_server.runtime.tls import check_files  # noqa: PLC0415 - imports cryptography, which is slow

        check_files(tls)
    return {
        "registry": _address(env, "NEURALMESH_REGISTRY", REGISTRY_PORT),
        "inference": _address(env, "NEURALMESH_INFERENCE", INFERENCE_PORT),
        "metrics": _address(env, "NEURALMESH_METRICS", METRICS_PORT),
        "labor": _address(env, "NEURALMESH_LABOR", LABOR_PORT),
        "tls": None if tls is None else TlsFiles(ca=tls.authority, cert=tls.certificate, key=tls.key),
        "timeout": flags.get("timeout") or 30.0,
        "actor": env.get("NEURALMESH_ACTOR") or _user(),
        "token": env.get("NEURALMESH_TOKEN", ""),
    }


def existing_file(text: str, name: str) -> Path:
    """Return the path of a file or folder that exists, or raise SettingsError."""
    path = Path(text)
    if not path.exists():
        raise SettingsError(f"{name}: nothing at {text}")
    return path


def _address(env: Mapping[str, str], name: str, port: int) -> str:
    return str(Endpoint.parse_peer(env.get(name) or f"127.0.0.1:{port}", name=name))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return ""
