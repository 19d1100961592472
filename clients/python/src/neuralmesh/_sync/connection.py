# Generated from _async/connection.py by tools/unasync.py; never edited.
# ruff: noqa: UP028, PYI016, RET504, TRY300, RUF100, E501
"""One channel to one service: opened with the first call, every failure translated; knows no method of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from neuralmesh import exceptions
from neuralmesh._channel import TlsFiles, call_metadata, channel_options, is_unix
from neuralmesh._offload import BrokenOffError, answered_sync, noting

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor

R = TypeVar("R")


class Connection:
    """Calls the methods of a service by their names; `answer` is the class of the answer's messages.

    Args:
        service: The contract.
        address: `host:port`, or `unix:/path`, which is always plain text.
        tls: Files for mutual TLS, or None for plain text.
        timeout: Seconds that a unary call may take; servers see it as the call's deadline.
        token: Sent with every call; empty for none.
    """

    def __init__(
        self,
        service: ServiceDescriptor,
        address: str,
        tls: TlsFiles | None,
        timeout: float,
        token: str = "",
    ) -> None:
        self.address = address
        self.timeout = timeout
        self._service = service
        self._tls = None if is_unix(address) else tls
        # grpc has no credentials of calls without TLS, so that the token travels as plain metadata.
        self._metadata = call_metadata(token)
        self._channel: Any = None
        self._methods: dict[tuple[str, type[Any]], Any] = {}
        self._closed = False

    def unary(
        self,
        method: str,
        answer: type[R],
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server as the deadline
    ) -> R:
        """Call a method with one request and one answer; the request may be serialised already."""
        try:
            deadline = self.timeout if timeout is None else timeout
            call = self._method(method, answer)(request, timeout=deadline, metadata=self._metadata)
            return call  # type: ignore[no-any-return]
        except grpc.RpcError as error:
            raise exceptions.from_rpc(error, self.address) from error

    def upload(self, method: str, answer: type[R], requests: Iterable[Any]) -> R:
        """Call a method with a stream of requests and one answer. There is no deadline.

        What fails while a request is made is raised as it is; grpc would only say that the call was cancelled.
        """
        failures: list[Exception] = []
        try:
            call = self._method(method, answer)(noting(requests, failures), metadata=self._metadata)
            found: R = answered_sync(call)
        except (grpc.RpcError, BrokenOffError) as error:
            if failures:
                raise failures[0] from error
            if isinstance(error, BrokenOffError):
                raise exceptions.broken_off(self.address) from error
            raise exceptions.from_rpc(error, self.address) from error
        return found

    def stream(self, method: str, answer: type[R], request: Any) -> Iterator[R]:
        """Yield the answers of a method with a stream of answers, without a deadline; leaving cancels."""
        call = self._method(method, answer)(request, metadata=self._metadata)
        try:
            for response in call:
                yield response
        except grpc.RpcError as error:
            raise exceptions.from_rpc(error, self.address) from error
        finally:
            call.cancel()

    def exchange(self, method: str, answer: type[R], requests: Iterable[Any] | Iterable[Any]) -> Iterator[R]:
        """Yield the answers of a method with streams both ways, without a deadline."""
        stream = iter(requests) if isinstance(requests, Iterable) else requests
        for response in self.stream(method, answer, stream):
            yield response

    def close(self) -> None:
        """Close the channel for good, which ends all its calls; a further call raises RuntimeError."""
        self._closed = True
        channel, self._channel = self._channel, None
        self._methods.clear()
        if channel is not None:
            channel.close()

    def _method(self, name: str, answer: type[Any]) -> Any:
        if self._closed:
            raise RuntimeError("the client is closed")
        found = self._methods.get((name, answer))
        if found is None:
            found = self._methods[name, answer] = self._open_method(name, answer)
        return found

    def _open_method(self, name: str, answer: type[Any]) -> Any:
        if self._channel is None:
            self._channel = self._open_channel()
        method = self._service.methods_by_name[name]
        kinds = {
            (False, False): self._channel.unary_unary,
            (True, False): self._channel.stream_unary,
            (False, True): self._channel.unary_stream,
            (True, True): self._channel.stream_stream,
        }
        return kinds[method.client_streaming, method.server_streaming](
            f"/{self._service.full_name}/{name}",
            request_serializer=_serialise,
            response_deserializer=answer.FromString,
        )

    def _open_channel(self) -> Any:
        options = channel_options(self._service, self.address)
        if self._tls is None:
            return grpc.insecure_channel(self.address, options=options)
        return grpc.secure_channel(self.address, self._tls.credentials(), options=options)


def _serialise(request: Any) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()
