"""Asks a server for its health, for container engines.

`python -m neuralmesh_server.runtime.healthcheck localhost:8003` is the whole interface.

Exit status 0 means that the server serves; anything else prints one line that says why. With NEURALMESH_TLS_CERT, _KEY
and _CA set, the question goes over mutual TLS, as the services' own calls do. It is no monitoring: it asks once.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from neuralmesh_server.runtime import transport

transport.configure()

import grpc  # noqa: E402 - the transport is configured before grpc is imported
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402

from neuralmesh_server.settings import Endpoint, SettingsError, TlsSettings  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_SECONDS = 5.0


def check(endpoint: Endpoint, tls: TlsSettings | None, *, timeout: float = TIMEOUT_SECONDS) -> str:
    """Return the name of the server's health status, such as `SERVING`.

    Raises:
        grpc.RpcError: The server cannot be asked.
    """
    with _channel(endpoint, tls) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=timeout, wait_for_ready=False
        )
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def main(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Check the server named by the one argument; returns the exit status."""
    if len(arguments) != 1:
        return _fail("give one address, host:port or unix:/path", status=2)
    try:
        endpoint = Endpoint.parse_peer(arguments[0], name="address")
        status = check(endpoint, TlsSettings.from_env(env))
    except SettingsError as error:
        return _fail(str(error), status=2)
    except grpc.RpcError as error:
        return _fail(f"{arguments[0]}: {error.code().name}: {error.details()}")
    return 0 if status == "SERVING" else _fail(f"{arguments[0]}: {status}")


def _channel(endpoint: Endpoint, tls: TlsSettings | None) -> grpc.Channel:
    if tls is None or endpoint.path:
        return grpc.insecure_channel(str(endpoint))
    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.authority.read_bytes(),
        private_key=tls.key.read_bytes(),
        certificate_chain=tls.certificate.read_bytes(),
    )
    return grpc.secure_channel(str(endpoint), credentials)


def _fail(why: str, *, status: int = 1) -> int:
    sys.stderr.write(f"healthcheck: {why}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
