"""The checks of `neuralmesh doctor`. Each returns findings; none changes anything but a file that it removes again."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING

from liam_core import front
from neuralmesh import exceptions
from neuralmesh_server.cli.rendering import count_text, size_text
from neuralmesh_server.settings import GRPC, Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from neuralmesh import Client

OK, WARN, FAIL = "ok", "warn", "fail"

SQLITE_MINIMUM = (3, 51, 3)
"""First SQLite without the WAL-reset corruption bug."""

EARLIEST_CLOCK = datetime(2025, 1, 1, tzinfo=UTC)
LOW_SPACE_BYTES = 1024**3
NO_SPACE_BYTES = 64 * 1024**2
SLOW_FSYNC_SECONDS = 0.05

LIBRARIES = ("grpcio", "protobuf", "numpy", "onnxruntime", "apsw", "uvloop", "safetensors", "cryptography")
_FSYNC_ROUNDS = 5
_DIGEST_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `status` is ok, warn or fail."""

    check: str
    status: str
    detail: str


def examine(client: Client, data: Path) -> list[Finding]:
    """Run all checks."""
    return [
        kernel(),
        sqlite(),
        clock(datetime.now(UTC)),
        *storage(data),
        *libraries(),
        transport(os.environ),
        *services(client),
    ]


def kernel() -> Finding:
    """Check that the kernel runs and gives the expected bits."""
    from liam_core import KernelError, capabilities  # noqa: PLC0415 - importing it starts the kernel, which may fail

    try:
        found = capabilities()
    except KernelError as error:
        return Finding("kernel", FAIL, str(error))
    forced = ", forced by LIAM_SIMD" if found.forced else ""
    levels = ", ".join(found.supported)
    return Finding(
        "kernel", OK, f"{found.level}{forced} of {levels}; self-test {found.self_test_digest[:_DIGEST_DIGITS]}"
    )


def sqlite() -> Finding:
    """Check the version of SQLite that the services use."""
    import apsw  # noqa: PLC0415 - only this check needs it

    version: str = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < SQLITE_MINIMUM:
        wanted = ".".join(str(part) for part in SQLITE_MINIMUM)
        return Finding("sqlite", FAIL, f"{version} can corrupt a database; at least {wanted} is needed")
    return Finding("sqlite", OK, version)


def clock(now: datetime) -> Finding:
    """Check that the clock stands at a plausible time; prediction ids carry it."""
    text = now.strftime("%Y-%m-%d %H:%M:%S UTC")
    if now < EARLIEST_CLOCK:
        return Finding("clock", FAIL, f"{text} is before {EARLIEST_CLOCK:%Y}: set the clock")
    return Finding("clock", OK, text)


def storage(data: Path) -> list[Finding]:
    """Check the space and the speed of durable writes where the data folder is or would be."""
    place = data.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        return [Finding("data folder", FAIL, f"{place} is no folder")]
    free = shutil.disk_usage(place).free
    status = FAIL if free < NO_SPACE_BYTES else WARN if free < LOW_SPACE_BYTES else OK
    space = Finding("disk space", status, f"{size_text(free)} free for {place}")
    try:
        seconds = fsync_seconds(place)
    except OSError as error:
        return [space, Finding("data folder", FAIL, f"{place} cannot be written: {error.strerror}")]
    speed = WARN if seconds > SLOW_FSYNC_SECONDS else OK
    return [space, Finding("fsync", speed, f"{seconds * 1e3:.2f} ms for 4 KiB, median of {_FSYNC_ROUNDS}")]


def fsync_seconds(folder: Path) -> float:
    """Return the median time of a durable 4 KiB write in a folder. Raises OSError when it cannot be written."""
    path = folder / f".neuralmesh-doctor-{secrets.token_hex(8)}"
    times = []
    try:
        with path.open("xb") as file:
            for _ in range(_FSYNC_ROUNDS):
                start = time.perf_counter()
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - start)
    finally:
        path.unlink(missing_ok=True)
    return sorted(times)[_FSYNC_ROUNDS // 2]


def libraries() -> list[Finding]:
    """Check that every library is installed, and say which version."""
    return [_library(name) for name in LIBRARIES]


def transport(environ: Mapping[str, str]) -> Finding:
    """Say what servers started from here listen with; grpcio's server needs an experiment, or is half as fast."""
    why = ""
    if not front.AVAILABLE:
        why = "the native front knows Linux alone"
    elif environ.get("NEURALMESH_TRANSPORT") == GRPC:
        why = "NEURALMESH_TRANSPORT=grpc"
    elif environ.get("NEURALMESH_TLS_CERT"):
        why = "TLS"
    if not why:
        return Finding("transport", OK, "the native front listens")
    wanted = "-event_engine_listener"
    if wanted in environ.get("GRPC_EXPERIMENTS", "").split(","):
        return Finding("transport", OK, f"grpcio's server listens: {why}")
    return Finding("transport", FAIL, f"grpcio's server listens ({why}), and GRPC_EXPERIMENTS does not hold {wanted}")


def services(client: Client) -> list[Finding]:
    """Check that each service answers, or that its port is free for one to start."""
    asks: list[tuple[str, str, Callable[[], str]]] = [
        ("registry", client.registry.address, lambda: _registry(client)),
        ("inference", client.inference.address, lambda: _inference(client)),
        ("metrics", client.metrics.address, lambda: _metrics(client)),
    ]
    return [_service(name, address, ask) for name, address, ask in asks]


def _service(name: str, address: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(name, OK, f"{address} {ask()}")
    except exceptions.UnavailableError as error:
        if error.reason != "PEER_UNREACHABLE":
            return Finding(name, WARN, f"{address} is not ready: {error.message}")
        if port_is_free(Endpoint.parse_peer(address, name=name)):
            return Finding(name, WARN, f"{address} is free; nothing runs there (neuralmesh up)")
        return Finding(name, FAIL, f"{address} is taken by something that does not answer as a service")
    except exceptions.NeuralMeshError as error:
        return Finding(name, FAIL, f"{address} does not answer as {name}: {error.message}")


def port_is_free(endpoint: Endpoint) -> bool:
    """Say whether nothing accepts connections at an address."""
    family = socket.AF_UNIX if endpoint.path else socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(endpoint.path or (endpoint.host, endpoint.port))
        except OSError:
            return True
    return False


def _registry(client: Client) -> str:
    models = sum(1 for _ in client.registry.list_models())
    return f"answers; {count_text(models, 'model')}"


def _inference(client: Client) -> str:
    metadata_message = client.inference.server_metadata()
    ready = "ready" if client.inference.server_ready() else "not ready yet"
    return f"answers; {metadata_message.name} {metadata_message.version}, {ready}"


def _metrics(client: Client) -> str:
    nodes = [node for node in client.metrics.get_operations().nodes if node.running]
    return f"answers; {count_text(len(nodes), 'node')} running"


def _library(name: str) -> Finding:
    try:
        return Finding(name, OK, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, FAIL, "is not installed")
