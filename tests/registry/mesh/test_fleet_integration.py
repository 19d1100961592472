"""What the registry knows of its nodes: over a restart, in pages, as Prometheus series, and for whom."""

from __future__ import annotations

import asyncio
import dataclasses

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from neuralmesh.mesh.v1 import mesh_service_pb2 as api
from neuralmesh.mesh.v1 import mesh_service_pb2_grpc as api_grpc
from neuralmesh_server.registry.app import RegistryApp
from neuralmesh_server.runtime import tokens
from neuralmesh_server.runtime.access import Grant
from neuralmesh_server.settings import Endpoint, RegistrySettings, ServerSettings, SettingsError
from tests.channels import OWN
from tests.registry.conftest import Failure
from tests.registry.mesh.nodes import SECONDS, Node

FIGURES = api.NodeFigures(
    cache_bytes=3,
    cache_limit_bytes=9,
    forwarded=4,
    forward_failures=1,
    hedged=6,
    hedges_won=2,
    lost_reports=8,
    overrides=[api.LocalOverride(model="digits", alias="production", version=1, alias_revision=4, actor="ann")],
    failures=["digits/2: no"],
)


async def test_the_fleet_is_known_after_a_restart(serving, tmp_path):
    """Labels, figures and the last report are kept; nobody is connected, and silence counts from the start."""
    async with serving(tmp_path / "data") as mesh:
        await mesh.versions(1)
        await mesh.promote(1)
        await mesh.assign("*")
        async with Node("edge-1", site="oslo").following(mesh.mesh) as node:
            node.figures = FIGURES
            node.say(1)
            before = (await mesh.until(lambda nodes: nodes["edge-1"].figures == FIGURES))["edge-1"]
        assert before.desired_digest == before.state_digest == node.digest
        assert not before.converged, "an alias is set aside on it"
    async with serving(tmp_path / "data") as mesh:
        after = (await mesh.nodes())["edge-1"]
        assert (after.connected, after.silence.seconds) == (False, 0)
        for one in (before, after):
            one.ClearField("silence")
            one.ClearField("connected")
        assert after == before
        await mesh.assign("site=oslo", pinned_version=1)
        assert (await mesh.nodes())["edge-1"].desired_revision > before.desired_revision


async def test_nodes_come_in_pages_and_by_selector(mesh):
    """Pages go on in byte order of the names, a token belongs to its selector, and silence grows."""
    for name, site in (("b", "oslo"), ("a", "rome"), ("c", "oslo")):
        async with Node(name, site=site).following(mesh.mesh):
            pass
    assert list(await mesh.nodes()) == ["a", "b", "c"]
    assert list(await mesh.nodes("site=oslo")) == ["b", "c"]
    page = await mesh.mesh.ListNodes(api.ListNodesRequest(page_size=1, selector="site=oslo"))
    assert [node.node for node in page.nodes] == ["b"]
    assert page.revision == len(await mesh.events())
    token = page.next_page_token
    again = await mesh.mesh.ListNodes(api.ListNodesRequest(page_token=token, selector="site=oslo"))
    assert ([node.node for node in again.nodes], again.next_page_token) == (["c"], "")
    failure = await mesh.failure(mesh.mesh.ListNodes(api.ListNodesRequest(page_token=token)))
    assert failure.reason == "PAGE_TOKEN_INVALID"
    silence = (await mesh.nodes())["a"].silence
    later = await mesh.until(lambda nodes: nodes["a"].silence.ToNanoseconds() > silence.ToNanoseconds())
    assert not later["a"].connected


async def test_a_node_that_will_not_come_back_is_forgotten(serving, tmp_path):
    """It is gone for good, also over a restart; one that is connected is not, and one that comes back is known again."""
    forget = api.ForgetNodeRequest(node="edge-1")
    async with serving(tmp_path / "data") as mesh:
        assert (await mesh.failure(mesh.mesh.ForgetNode(forget))).reason == "NODE_NOT_FOUND"
        node = Node("edge-1", site="oslo")
        async with node.following(mesh.mesh):
            assert (await mesh.failure(mesh.mesh.ForgetNode(forget))).reason == "NODE_CONNECTED"
        await mesh.until(lambda nodes: not nodes["edge-1"].connected)
        assert (await mesh.mesh.ForgetNode(forget)).node.labels["site"] == "oslo"
        assert await mesh.nodes() == {}
    async with serving(tmp_path / "data") as mesh:
        assert await mesh.nodes() == {}
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await Node("edge-1", key=b"another".ljust(32, b".")).run(mesh.mesh)
        assert Failure(refusal.value).reason == "NODE_KEY_CONFLICT", "its name is its own for ever"
        async with node.following(mesh.mesh):
            assert list(await mesh.nodes()) == ["edge-1"]


async def test_the_mesh_is_healthy_and_reflected(mesh):
    """Health answers for the service by its full name."""
    async with grpc.aio.insecure_channel(str(mesh.app.endpoint), OWN) as channel:
        request = health_pb2.HealthCheckRequest(service="neuralmesh.mesh.v1.MeshService")
        answer = await health_pb2_grpc.HealthStub(channel).Check(request)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
async def guarded(tmp_path):
    path = tmp_path / "tokens.json"
    grants = {role: Grant(role, ("*",)) for role in ("reader", "node", "promoter", "admin")}
    grants["scoped"] = Grant("reader", ("digits",))
    tokens.write(path, [tokens.make_entry(name, [grant], token=f"nmt_{name}") for name, grant in grants.items()])
    loopback = Endpoint("127.0.0.1", 0)
    server = ServerSettings(loopback, drain_seconds=2.0, tokens=path)
    app = RegistryApp(RegistrySettings(server=server, data=tmp_path / "data", http=loopback))
    await app.start()
    async with grpc.aio.insecure_channel(str(app.endpoint), OWN) as channel:
        yield app, api_grpc.MeshServiceStub(channel)
    await app.stop()


def bearer(who):
    return (("authorization", f"Bearer nmt_{who}"),) if who else None


async def reason_of(call) -> str:
    """Return why a call was refused; empty when it was let in."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        found = Failure(error).reason
        return found if found in {"UNAUTHENTICATED", "PERMISSION_DENIED"} else ""
    return ""


@pytest.mark.parametrize(
    ("method", "request_", "permitted"),
    [
        ("SetAssignment", api.SetAssignmentRequest(assignment={"selector": "*", "model": "digits"}), {"admin"}),
        ("DeleteAssignment", api.DeleteAssignmentRequest(name="assignments/" + "0" * 16), {"admin"}),
        ("ListAssignments", api.ListAssignmentsRequest(), {"reader", "scoped", "promoter", "admin"}),
        ("GetDesiredState", api.GetDesiredStateRequest(), {"reader", "node", "promoter", "admin"}),
        ("ListNodes", api.ListNodesRequest(), {"reader", "promoter", "admin"}),
        ("ForgetNode", api.ForgetNodeRequest(node="edge-1"), {"admin"}),
    ],
)
async def test_roles_decide_who_may_do_what(guarded, method, request_, permitted):
    """Assigning needs an admin, reading a reader of every model; strangers are turned away."""
    _, stub = guarded
    let_in = set()
    for who in ("reader", "node", "promoter", "admin", "scoped"):
        reason = await reason_of(getattr(stub, method)(request_, metadata=bearer(who)))
        assert reason in {"", "PERMISSION_DENIED"}
        if not reason:
            let_in.add(who)
    assert let_in == permitted
    assert await reason_of(getattr(stub, method)(request_)) == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("who", "reason"), [("node", ""), ("admin", ""), ("reader", "PERMISSION_DENIED"), ("", "UNAUTHENTICATED")]
)
async def test_only_nodes_follow(guarded, who, reason):
    """Sync registers a key, so that it needs the role of a node."""
    _, stub = guarded
    call = stub.Sync(iter([Node("edge-1").hello()]), metadata=bearer(who))
    assert await reason_of(anext(aiter(call))) == reason
    call.cancel()


async def fetch(app, path, who=""):
    """Return status and body of an HTTP request."""
    reader, writer = await asyncio.open_connection(app.http_endpoint.host, app.http_endpoint.port)
    header = f"Authorization: Bearer nmt_{who}\r\n" if who else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def test_the_fleet_is_scraped(guarded):
    """A reader of all models gets the series of every node; others do not, and health is open."""
    app, stub = guarded
    node = Node("edge-1")
    call = stub.Sync(metadata=bearer("node"))
    await call.write(node.hello())
    await call.read()
    await call.write(api.SyncRequest(report=api.Report(outcome=1, figures=FIGURES)))
    status, body = 0, ""
    end = asyncio.get_running_loop().time() + SECONDS
    # The registry learns on two ways of what the node reported, and of the node's key, which is its first event.
    expected = {'neuralmesh_mesh_node_cache_bytes{node="edge-1"} 3.0', "neuralmesh_registry_revision 1.0"}
    while not expected <= set(body.splitlines()):
        assert asyncio.get_running_loop().time() < end, body
        status, body = await fetch(app, "/metrics", "reader")
    assert status == 200
    for line in (
        "neuralmesh_mesh_nodes_connected 1.0",
        "neuralmesh_mesh_nodes_converged 0.0",
        'neuralmesh_mesh_node_forwarded_total{node="edge-1"} 4.0',
        'neuralmesh_mesh_node_hedges_won_total{node="edge-1"} 2.0',
        'neuralmesh_mesh_node_overrides{node="edge-1"} 1.0',
        'neuralmesh_mesh_node_lost_reports_total{node="edge-1"} 8.0',
        'neuralmesh_mesh_node_connected{node="edge-1"} 1.0',
    ):
        assert line in body.splitlines()
    assert 'neuralmesh_mesh_node_silence_seconds{node="edge-1"}' in body
    call.cancel()
    assert [(await fetch(app, "/metrics", who))[0] for who in ("", "scoped", "node")] == [401, 403, 403]
    assert await fetch(app, "/healthz") == (200, "ok\n")


async def test_without_an_address_nothing_listens_for_http(mesh):
    """HTTP is off unless it is asked for."""
    assert mesh.app.http_endpoint is None


def test_open_http_is_refused_unless_insecure(tmp_path):
    """HTTP beyond loopback needs --insecure."""
    server = ServerSettings(Endpoint("127.0.0.1", 0))
    settings = RegistrySettings(server=server, data=tmp_path, http=Endpoint("0.0.0.0", 0))  # noqa: S104 - under test
    with pytest.raises(SettingsError, match="NEURALMESH_REGISTRY_HTTP"):
        RegistryApp(settings)
    assert dataclasses.replace(settings, http=None).http is None
