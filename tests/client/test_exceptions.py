"""The client's errors are the reverse of the servers' table."""

from __future__ import annotations

import asyncio
import pickle

import grpc
import pytest

from neuralmesh import AsyncClient, Client, exceptions
from neuralmesh.errors.v1 import errors_pb2
from neuralmesh_server import errors
from neuralmesh_server.runtime.status import CODES

KINDS = sorted(CODES, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS)
async def test_each_domain_error_arrives_as_the_exception_of_its_name(scripted, kind):
    """A domain error arrives in both clients as the class of the same name, with reason, message and variables."""

    def behaviour(name, request, call):
        raise kind("LIMIT_EXCEEDED", "too much of 'it'", limit=7, note="a é")

    _, address = await scripted(behaviour)
    wanted = getattr(exceptions, kind.__name__)
    async with AsyncClient(registry=address) as client:
        with pytest.raises(wanted) as caught:
            await client.registry.create_model("m")
    with Client(registry=address) as client, pytest.raises(wanted) as caught_sync:
        await asyncio.to_thread(client.registry.create_model, "m")
    for error in (caught.value, caught_sync.value):
        assert type(error) is wanted
        assert error.reason == "LIMIT_EXCEEDED"
        assert error.message == "too much of 'it'"
        assert error.metadata == {"limit": "7", "note": "a é"}
        assert error.code is CODES[kind]
        assert str(error) == "too much of 'it' (LIMIT_EXCEEDED)"


async def test_a_hint_when_to_try_again_arrives(scripted):
    """The seconds that a server names stand in the exception, also after pickling; without a hint there are none."""

    def behaviour(name, request, call):
        error = errors.ResourceExhaustedError("QUEUE_FULL", "full")
        raise error.retry_after(0.25) if request.name == "models/hint" else error

    _, address = await scripted(behaviour)
    async with AsyncClient(registry=address) as client:
        for model, seconds in (("hint", 0.25), ("none", None)):
            with pytest.raises(exceptions.ResourceExhaustedError) as caught:
                await client.registry.get_model(model)
            assert caught.value.reason == "QUEUE_FULL"
            assert caught.value.retry_seconds == seconds
            assert pickle.loads(pickle.dumps(caught.value)).retry_seconds == seconds  # noqa: S301 - our own bytes


async def test_every_reason_of_the_contract_arrives(scripted):
    """Each reason of the contract's enumeration is delivered unchanged."""
    reasons = [
        name.removeprefix("ERROR_REASON_")
        for name in errors_pb2.ErrorReason.keys()  # noqa: SIM118 - an enum wrapper
        if not name.endswith("UNSPECIFIED")
    ]

    def behaviour(name, request, call):
        raise errors.FailedPreconditionError(request.name.removeprefix("models/"), "no")

    _, address = await scripted(behaviour)
    got = []
    async with AsyncClient(registry=address) as client:
        for reason in reasons:
            with pytest.raises(exceptions.FailedPreconditionError) as caught:
                await client.registry.get_model(reason)
            got.append(caught.value.reason)
    assert got == reasons
    assert len(reasons) > 30


class BareFailure(grpc.RpcError):
    """What grpc raises for a status without details."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "as it is"

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return (("grpc-status-details-bin", b"\xff\xff"),)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_a_status_without_error_info_maps_by_its_code(code):
    """Every status code of the transport or of a foreign server has a typed exception that names the address."""
    error = exceptions.from_rpc(BareFailure(code), "10.0.0.1:8003")
    assert type(error) is exceptions.CLASSES[code]
    assert "10.0.0.1:8003" in error.message
    assert error.metadata == {"address": "10.0.0.1:8003"}


async def test_an_unreachable_service_is_unavailable_and_named(unused_tcp_port_text):
    """A refused connection raises UnavailableError with the address in its message, in both clients."""
    async with AsyncClient(inference=unused_tcp_port_text) as client:
        with pytest.raises(exceptions.UnavailableError, match=unused_tcp_port_text) as caught:
            await client.inference.server_live()
    assert caught.value.reason == "PEER_UNREACHABLE"
    with Client(metrics=unused_tcp_port_text) as client:
        with pytest.raises(exceptions.UnavailableError, match=unused_tcp_port_text):
            await asyncio.to_thread(client.metrics.get_operations)
        with pytest.raises(exceptions.UnavailableError, match=unused_tcp_port_text):
            await asyncio.to_thread(list, client.metrics.list_version_metrics())


def test_exceptions_can_be_pickled():
    """An exception survives the way between processes with all of its parts."""
    error = exceptions.NotFoundError("MODEL_NOT_FOUND", "no model 'x'", {"model": "x"})
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copy), copy.reason, copy.message, copy.metadata) == (
        exceptions.NotFoundError,
        "MODEL_NOT_FOUND",
        "no model 'x'",
        {"model": "x"},
    )
