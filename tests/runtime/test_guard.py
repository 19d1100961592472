"""Access over the wire: who is refused with which status, in every kind of call, and what nobody is asked for."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from neuralmesh import AsyncClient, Client, _service, exceptions, oip
from neuralmesh.registry.v1 import registry_service_pb2, resources_pb2
from neuralmesh_server.inference.access import RULES as INFERENCE_RULES
from neuralmesh_server.registry.access import RULES as REGISTRY_RULES
from neuralmesh_server.runtime import tokens
from neuralmesh_server.runtime.access import Access, Grant, Guard
from neuralmesh_server.runtime.handlers import Call, service_handler, snake_case
from neuralmesh_server.runtime.server import Server
from neuralmesh_server.settings import Endpoint, ServerSettings

TOKENS = {
    "reader": "nmt_reader",
    "digits": "nmt_digits",
    "publisher": "nmt_publisher",
    "promoter": "nmt_promoter",
    "node": "nmt_node",
    "admin": "nmt_admin",
    "expired": "nmt_expired",
}


class Servicer:
    """Answers every RPC with an empty message and remembers who called what."""

    def __init__(self, service: Any, message_class: Any) -> None:
        self.calls: list[tuple[str, str | None]] = []
        for method in service.methods:
            setattr(self, snake_case(method.name), self._behaviour(method, message_class(method.output_type)))

    def _behaviour(self, method: Any, answer: Any) -> Any:
        async def seen(request: Any, call: Call) -> None:
            if method.client_streaming:
                async for _ in request:
                    pass
            self.calls.append((method.name, call.identity))

        async def unary(request: Any, call: Call) -> Any:
            await seen(request, call)
            found = answer()
            if method.name == "TracePrediction":
                found.version.name = "models/other/versions/1"
            if method.name == "ListModels":
                found.models.extend(resources_pb2.Model(name=f"models/{name}") for name in ("digits", "other"))
            return found

        async def stream(request: Any, call: Call) -> AsyncIterator[Any]:
            await seen(request, call)
            yield answer()

        return stream if method.server_streaming else unary


async def raw_infer(data: bytes, context: Any) -> bytes:
    return b""


class Suite:
    """A registry and an inference node that do nothing but let in or refuse."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokens.json"
        roles = {"digits": Grant("reader", ("digits*",)), "expired": Grant("admin", ("*",))}
        roles["promoter"] = Grant("promoter", ("digits*",))
        tokens.write(
            path,
            [
                tokens.make_entry(
                    name,
                    [roles.get(name, Grant(name, ("*",)))],
                    token=token,
                    expires=1.0 if name == "expired" else None,
                )
                for name, token in TOKENS.items()
            ],
        )
        access = Access(tokens.TokenFile(path))
        settings = ServerSettings(Endpoint("127.0.0.1", 0), drain_seconds=1)
        self.registry = Servicer(_service.REGISTRY, GetMessageClass)
        self.inference = Servicer(oip.SERVICE, oip.message_class)
        registry = service_handler(
            _service.REGISTRY, self.registry, GetMessageClass, guard=Guard(access, REGISTRY_RULES)
        )
        inference = service_handler(
            oip.SERVICE,
            self.inference,
            oip.message_class,
            {"ModelInfer": raw_infer},
            Guard(access, INFERENCE_RULES),
        )
        self.server = Server(settings, [(_service.REGISTRY, registry), (oip.SERVICE, inference)], access)

    def client(self, name: str) -> AsyncClient:
        address = str(self.server.endpoint)
        return AsyncClient(registry=address, inference=address, token=TOKENS.get(name, name))


@pytest.fixture
async def suite(tmp_path: Path) -> AsyncIterator[Suite]:
    suite = Suite(tmp_path)
    await suite.server.start()
    await suite.server.set_serving(serving=True)
    yield suite
    await suite.server.stop()


def method_of(channel: grpc.aio.Channel, service: Any, method: Any) -> Any:
    """Call any RPC with empty requests and a token, and return its code."""
    make = {
        (False, False): channel.unary_unary,
        (True, False): channel.stream_unary,
        (False, True): channel.unary_stream,
        (True, True): channel.stream_stream,
    }[method.client_streaming, method.server_streaming]

    async def call(metadata: Any) -> grpc.StatusCode:
        request = iter([b""]) if method.client_streaming else b""
        rpc = make(f"/{service.full_name}/{method.name}")(request, metadata=metadata)
        if method.server_streaming:
            with suppress(grpc.aio.AioRpcError):
                [answer async for answer in rpc]
        return await rpc.code()

    return call


async def test_refused_calls_are_in_the_log(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    """Operators see that somebody knocks without a token: one line, however many calls there were within a second."""
    infer = next(method for method in oip.SERVICE.methods if method.name == "ModelInfer")
    async with grpc.aio.insecure_channel(str(suite.server.endpoint)) as channel:
        call = method_of(channel, oip.SERVICE, infer)
        assert await call(None) is grpc.StatusCode.UNAUTHENTICATED
    assert "calls_refused" in capsys.readouterr().out


@pytest.mark.parametrize("service", [_service.REGISTRY, oip.SERVICE], ids=["registry", "inference"])
@pytest.mark.parametrize("token", [None, "nmt_unknown", "nmt_expired"])
async def test_strangers_are_unauthenticated_in_every_rpc(suite: Suite, service: Any, token: str | None) -> None:
    """Without a good token every RPC but the probes' two is UNAUTHENTICATED, and its servicer is not asked."""
    metadata = [("authorization", f"Bearer {token}")] if token else None
    async with grpc.aio.insecure_channel(str(suite.server.endpoint)) as channel:
        codes = {method.name: await method_of(channel, service, method)(metadata) for method in service.methods}
    opened = {name for name, code in codes.items() if code is grpc.StatusCode.OK}
    assert opened == ({"ServerLive", "ServerReady"} if service is oip.SERVICE else set())
    assert set(codes.values()) - {grpc.StatusCode.OK} == {grpc.StatusCode.UNAUTHENTICATED}
    assert {name for name, _ in suite.registry.calls + suite.inference.calls} == opened


@pytest.mark.parametrize("service", [_service.REGISTRY, oip.SERVICE], ids=["registry", "inference"])
async def test_an_admin_may_call_everything_under_its_name(suite: Suite, service: Any) -> None:
    """A token of the role admin for all models is let into every RPC, and the servicer sees the token's name."""
    async with grpc.aio.insecure_channel(str(suite.server.endpoint)) as channel:
        metadata = [("authorization", "Bearer nmt_admin")]
        codes = {await method_of(channel, service, method)(metadata) for method in service.methods}
    assert codes == {grpc.StatusCode.OK}
    open_calls = {("ServerLive", None), ("ServerReady", None)}
    assert {name for call, name in suite.registry.calls + suite.inference.calls if (call, name) not in open_calls} == {
        "admin"
    }


async def test_refusals_name_role_and_model_and_are_not_retried(suite: Suite) -> None:
    """A known caller without the role gets PERMISSION_DENIED with name, role and model."""
    async with suite.client("digits") as client:
        with pytest.raises(exceptions.PermissionDeniedError) as raised:
            await client.registry.promote_alias("digits", "production", 1)
        assert raised.value.metadata == {"name": "digits", "role": "promoter", "model": "digits"}
        with pytest.raises(exceptions.PermissionDeniedError) as raised:
            await client.registry.get_model("other")
        assert raised.value.metadata["model"] == "other"
        await client.registry.get_model("digits2")


async def test_promoters_move_what_their_pattern_names(suite: Suite) -> None:
    """A promoter for `digits*` moves aliases of these models only and creates nothing."""
    async with suite.client("promoter") as client:
        await client.registry.promote_alias("digits", "production", 1)
        with pytest.raises(exceptions.PermissionDeniedError):
            await client.registry.promote_alias("other", "production", 1)
        with pytest.raises(exceptions.PermissionDeniedError):
            await client.registry.create_model("digits3")
    assert suite.registry.calls == [("PromoteAlias", "promoter")]


async def test_lists_and_answers_show_permitted_models_only(suite: Suite) -> None:
    """A restricted reader sees its models in a list, and gets no trace of another model's prediction."""
    async with suite.client("digits") as client:
        assert [model.name async for model in client.registry.list_models()] == ["models/digits"]
        with pytest.raises(exceptions.PermissionDeniedError, match="'other'"):
            await client.registry.trace_prediction("nm1.x")
    async with suite.client("reader") as client:
        assert [model.name async for model in client.registry.list_models()] == ["models/digits", "models/other"]
        await client.registry.trace_prediction("nm1.x")


async def infer(suite: Suite, token: str, data: bytes) -> grpc.StatusCode:
    async with grpc.aio.insecure_channel(str(suite.server.endpoint)) as channel:
        call = channel.unary_unary(f"/{oip.SERVICE.full_name}/ModelInfer")
        return await call(data, metadata=[("authorization", f"Bearer {token}")]).code()


DIGITS = oip.ModelInferRequest(model_name="digits").SerializeToString()
OTHER = oip.ModelInferRequest(model_name="other").SerializeToString()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (DIGITS, "OK"),
        (OTHER, "PERMISSION_DENIED"),
        (b"", "PERMISSION_DENIED"),
        (DIGITS + OTHER, "PERMISSION_DENIED"),
        (OTHER + DIGITS, "OK"),
        (DIGITS + b"\x8a\x00\x05other", "PERMISSION_DENIED"),
        (DIGITS + b"\x0a\xff", "INVALID_ARGUMENT"),
        (b"\x0a\x02\xff\xfe", "INVALID_ARGUMENT"),
    ],
)
async def test_the_hot_call_is_checked_by_the_model_that_will_run(suite: Suite, data: bytes, code: str) -> None:
    """The raw handler permits what protobuf takes for the model: the last name, in any encoding."""
    assert await infer(suite, "nmt_digits", data) is grpc.StatusCode[code]


async def test_a_stream_is_checked_message_by_message(suite: Suite) -> None:
    """A stream that names a forbidden model after a permitted one ends with PERMISSION_DENIED."""
    async with suite.client("digits") as client:
        requests = [oip.ModelInferRequest(model_name=name) for name in ("digits", "other")]
        with pytest.raises(exceptions.PermissionDeniedError):
            [answer async for answer in client.inference.model_stream_infer(requests)]
        assert len([answer async for answer in client.inference.model_stream_infer(requests[:1])]) == 1


async def test_nodes_follow_and_download_and_read_nothing_else(suite: Suite) -> None:
    """The role node registers and watches, and is refused what readers and publishers do."""
    async with suite.client("node") as client:
        await client.registry.register_node("edge", b"k" * 32)
        assert [step async for step in client.registry.watch()]
        with pytest.raises(exceptions.PermissionDeniedError):
            await client.registry.get_model("digits")
        with pytest.raises(exceptions.PermissionDeniedError):
            [model async for model in client.registry.list_models()]
    async with suite.client("publisher") as client:
        with pytest.raises(exceptions.PermissionDeniedError):
            await client.registry.register_node("edge", b"k" * 32)


async def test_health_is_open_and_reflection_is_not(suite: Suite) -> None:
    """Probes need no token; reading the contracts does, with any role that reads."""
    async with grpc.aio.insecure_channel(str(suite.server.endpoint)) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)

        async def listed(token: str) -> int:
            question = reflection_pb2.ServerReflectionRequest(list_services="")
            answers = stub.ServerReflectionInfo(iter([question]), metadata=[("authorization", f"Bearer {token}")])
            return len([answer async for answer in answers])

        assert await listed("nmt_digits") == 1
        for token in ("nmt_node", "nmt_unknown"):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await listed(token)
            assert raised.value.code() in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}


async def test_refusals_carry_one_error_info(suite: Suite) -> None:
    """UNAUTHENTICATED has its reason as every other error has, also from the raw handler."""
    async with grpc.aio.insecure_channel(str(suite.server.endpoint)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(f"/{oip.SERVICE.full_name}/ModelInfer")(DIGITS)
    found = rpc_status.from_call(raised.value)
    assert found is not None
    info = error_details_pb2.ErrorInfo()
    assert found.details[0].Unpack(info)
    assert (raised.value.code(), info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_the_synchronous_client_sends_its_token_too(suite: Suite) -> None:
    """Both clients carry the token on unary calls, uploads and streams."""
    import asyncio

    def calls() -> None:
        with Client(registry=str(suite.server.endpoint), token="nmt_admin") as client:
            client.registry.get_model("m")
            assert list(client.registry.watch())

    await asyncio.to_thread(calls)
    async with suite.client("admin") as client:
        connection = client._connections[0]
        request = registry_service_pb2.UploadArtifactRequest()
        await connection.upload("UploadArtifact", registry_service_pb2.UploadArtifactResponse, [request])
    assert [name for name, _ in suite.registry.calls] == ["GetModel", "Watch", "UploadArtifact"]
