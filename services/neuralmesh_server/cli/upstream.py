"""`neuralmesh push --upstream`: a descriptor of a server that runs the version, in the place of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.inference.upstreams.descriptor import (
    DEFAULT_TIMEOUT_MS,
    FILE_NAME,
    TLS_MESH,
    TLS_OFF,
    TLS_SYSTEM,
    Descriptor,
    DescriptorError,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KIND = "remote"
_SCHEMES = {"grpc": TLS_OFF, "grpcs": TLS_SYSTEM, "mesh": TLS_MESH}


def files(
    path: Path | None,
    url: str | None,
    model: str | None,
    *,
    version: str,
    expects_digest: str,
    credentials: str,
    timeout: float | None,
) -> dict[str, bytes]:
    """Return the one file of a version that another server runs; none where there is a path.

    Args:
        path: What is pushed instead of an upstream.
        url: `grpc://host:port` in plain text, `grpcs://host:port` with TLS, `mesh://host:port` with the node's own
            mutual TLS.
        model: Name of the model there.
        version: Its version there; empty leaves the choice to the server.
        expects_digest: Digest that the answers must name; empty for none.
        credentials: Name of credentials in the node's environment; empty for none.
        timeout: Longest wait for an answer in seconds; None for the default.

    Raises:
        InvalidArgumentError: Something of it is wrong; the message names it.
    """
    if (path is None) == (url is None):
        raise InvalidArgumentError("FIELD_INVALID", "give either a PATH or --upstream", field="files")
    if (url is None) != (model is None):
        raise InvalidArgumentError("FIELD_INVALID", "--upstream and --upstream-model go together", field="upstream")
    if url is None or model is None:
        return {}
    scheme, separator, address = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise InvalidArgumentError(
            "FIELD_INVALID",
            f"upstream {url!r} does not begin with grpc://, grpcs:// or mesh://",
            field="upstream",
        )
    try:
        descriptor = Descriptor(
            address=address,
            model=model,
            version=version,
            expects_digest=expects_digest,
            tls=_SCHEMES[scheme],
            credentials=credentials,
            timeout_ms=DEFAULT_TIMEOUT_MS if timeout is None else round(timeout * 1000),
        )
    except DescriptorError as error:
        raise InvalidArgumentError("FIELD_INVALID", f"the upstream's descriptor {error}", field="upstream") from error
    return {FILE_NAME: descriptor.encode()}


def check(files: Mapping[str, Path]) -> None:
    """Raise FIELD_INVALID unless a descriptor that was written by hand is valid."""
    if FILE_NAME not in files:
        raise InvalidArgumentError("FIELD_INVALID", f"a version of kind {KIND} has a file {FILE_NAME}", field="files")
    try:
        parse(files[FILE_NAME].read_bytes())
    except DescriptorError as error:
        raise InvalidArgumentError("FIELD_INVALID", f"{FILE_NAME} {error}", field="files") from error
