"""A small HTTP server beside gRPC: `/metrics` for Prometheus and `/healthz`; nothing else.

One request a connection, GET and HEAD only, heads up to 8 KiB within 5 seconds: enough for a scraper, and nothing that
a stranger could hold open. A page may ask for a bearer token.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.errors import PermissionDeniedError, UnauthenticatedError
from neuralmesh_server.settings import Endpoint, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

log = structlog.get_logger()

HEAD_BYTES = 8192
HEAD_SECONDS = 5.0
PLAIN = "text/plain; charset=utf-8"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of what Prometheus scrapes."""

Answer = tuple[HTTPStatus, str, bytes]
"""Status, content type and body."""


def check_exposure(listen: Endpoint | None, variable: str, *, insecure: bool) -> None:
    """Refuse to serve figures to the network, since HTTP here has no TLS.

    Raises:
        SettingsError: The address is not on loopback, and nobody said that this is meant.
    """
    if listen is not None and not listen.is_loopback and not insecure:
        raise SettingsError(
            f"serving metrics on {listen} over plain HTTP would let anyone on the network read them: set "
            f"{variable} to a loopback address or to nothing, or pass --insecure"
        )


class HttpEdge:
    """A small HTTP server.

    Args:
        listen: Where to listen; port 0 lets the system choose.
        pages: What answers each path: content type and an async function that returns the body.
        permits: What is asked before a path is answered, where something is: it takes the header `Authorization` or
            None, and raises UnauthenticatedError or PermissionDeniedError.
    """

    def __init__(
        self,
        listen: Endpoint,
        pages: Mapping[str, tuple[str, Callable[[], Awaitable[bytes]]]],
        permits: Mapping[str, Callable[[str | None], None]],
    ) -> None:
        self._listen = listen
        self._pages = pages
        self._permits = permits
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self) -> Endpoint:
        """Listen; returns the address with the port that was bound.

        Raises:
            SettingsError: The address cannot be bound.
        """
        try:
            self._server = await asyncio.start_server(
                self._connected, self._listen.host, self._listen.port, limit=HEAD_BYTES
            )
        except OSError as error:
            raise SettingsError(f"cannot listen on {self._listen} for HTTP: {error.strerror or error}") from error
        return Endpoint(self._listen.host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and end the connections that are open."""
        if self._server is None:
            return
        self._server.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        assert call is not None
        self._calls.add(call)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the peer left, or we do; there is nobody to answer
        finally:
            self._calls.discard(call)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            status, kind, body = HTTPStatus.BAD_REQUEST, PLAIN, b"not a request\n"
            method = "GET"
        else:
            method, path = _request_line(head)
            status, kind, body = await self._answer(method, path, _header(head, b"authorization"))
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            lines.append("Allow: GET, HEAD")
        if status is HTTPStatus.UNAUTHORIZED:
            lines.append("WWW-Authenticate: Bearer")
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + (b"" if method == "HEAD" else body))
        await writer.drain()

    async def _answer(self, method: str, path: str, authorization: str | None) -> Answer:
        if method not in {"GET", "HEAD"}:
            status = HTTPStatus.METHOD_NOT_ALLOWED if method else HTTPStatus.BAD_REQUEST
            return status, PLAIN, f"{status.phrase}\n".encode()
        if path not in self._pages:
            return HTTPStatus.NOT_FOUND, PLAIN, b"only /metrics and /healthz are here\n"
        kind, body = self._pages[path]
        try:
            if path in self._permits:
                self._permits[path](authorization)
            return HTTPStatus.OK, kind, await body()
        except UnauthenticatedError as error:
            return HTTPStatus.UNAUTHORIZED, PLAIN, f"{error.message}\n".encode()
        except PermissionDeniedError as error:
            return HTTPStatus.FORBIDDEN, PLAIN, f"{error.message}\n".encode()
        except Exception:  # the edge: a defect becomes 500 and is logged with its traceback
            log.exception("http_failed", path=path)
            return HTTPStatus.INTERNAL_SERVER_ERROR, PLAIN, b"internal error\n"


def _request_line(head: bytes) -> tuple[str, str]:
    """Return method and path without query; empty when the line is no HTTP/1 request line."""
    parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        return "", ""
    return parts[0], parts[1].partition("?")[0]


def _header(head: bytes, name: bytes) -> str | None:
    """Return the first value of a header, given in lower case, or None."""
    for line in head.split(b"\r\n")[1:]:
        found, separator, value = line.partition(b":")
        if separator and found.lower() == name:
            return value.strip().decode("latin-1")
    return None
