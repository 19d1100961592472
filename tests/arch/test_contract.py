"""The contract, the servers and the client agree."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor

import neuralmesh
from neuralmesh import oip
from neuralmesh.errors.v1 import errors_pb2
from neuralmesh.inference.v1 import node_service_pb2
from neuralmesh.labor.v1 import labor_service_pb2, worker_service_pb2
from neuralmesh.mesh.v1 import edge_service_pb2, mesh_service_pb2
from neuralmesh.metrics.v1 import metrics_service_pb2
from neuralmesh.registry.v1 import registry_service_pb2
from neuralmesh_server import errors
from neuralmesh_server.inference import service as inference_service
from neuralmesh_server.inference.edge import service as edge_service
from neuralmesh_server.inference.evidence import node_service
from neuralmesh_server.labor import service as labor_service
from neuralmesh_server.labor import worker_service
from neuralmesh_server.metrics import service as metrics_service
from neuralmesh_server.registry import service as registry_service
from neuralmesh_server.registry.mesh import service as mesh_service
from neuralmesh_server.runtime import status
from neuralmesh_server.runtime.handlers import snake_case

ROOT = Path(__file__).resolve().parents[2]

CONTRACT = {
    "registry": (registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"], registry_service),
    "metrics": (metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"], metrics_service),
    "mesh": (mesh_service_pb2.DESCRIPTOR.services_by_name["MeshService"], mesh_service),
    "labor": (labor_service_pb2.DESCRIPTOR.services_by_name["LaborArrayService"], labor_service),
    "labor_worker": (worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"], worker_service),
    "inference": (oip.SERVICE, inference_service),
    "edge": (edge_service_pb2.DESCRIPTOR.services_by_name["EdgeService"], edge_service),
    "node": (node_service_pb2.DESCRIPTOR.services_by_name["NodeService"], node_service),
}


def servicer(module: object) -> type:
    """Return the one class of a service module whose name ends in Servicer."""
    (found,) = [
        value
        for name, value in vars(module).items()
        if inspect.isclass(value) and name.endswith("Servicer") and value.__module__ == module.__name__
    ]
    return found


@pytest.mark.parametrize("name", CONTRACT)
def test_every_rpc_has_a_handler(name: str) -> None:
    """A servicer answers every RPC of its contract, in snake case."""
    service, module = CONTRACT[name]
    missing = [rpc.name for rpc in service.methods if not hasattr(servicer(module), snake_case(rpc.name))]
    assert missing == []
    assert len(service.methods) > 3


@pytest.mark.parametrize("client", [neuralmesh.Client, neuralmesh.AsyncClient])
@pytest.mark.parametrize("name", CONTRACT)
def test_every_rpc_has_a_client_method(name: str, client: type) -> None:
    """Both clients offer every RPC of every contract."""
    service: ServiceDescriptor = CONTRACT[name][0]
    part = getattr(client(), name)
    missing = [rpc.name for rpc in service.methods if not callable(getattr(part, snake_case(rpc.name), None))]
    assert missing == []


def test_reasons_are_those_of_the_contract() -> None:
    """The servers' list of reasons and the contract's enum are the same."""
    names = {value.removeprefix("ERROR_REASON_") for value in errors_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert names - {"UNSPECIFIED"} == errors.REASONS


def test_every_error_has_a_status() -> None:
    """Each kind of domain error is translated."""
    kinds = {
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.NeuralMeshError) and value is not errors.NeuralMeshError
    }
    assert kinds == set(status.CODES)


def test_raised_reasons_exist() -> None:
    """Every reason that the source raises is in the contract."""
    import ast

    unknown = []
    kinds = {kind.__name__ for kind in status.CODES}
    seen = 0
    for path in (ROOT / "services" / "neuralmesh_server").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in kinds:
                reason = node.args[0] if node.args else None
                if isinstance(reason, ast.Constant):
                    seen += 1
                    if reason.value not in errors.REASONS:
                        unknown.append(f"{path.name}:{node.lineno} {reason.value}")
    assert unknown == []
    assert seen > 40


def test_generated_code_is_current() -> None:
    """Generating the stubs again changes nothing."""
    run = subprocess.run(
        [sys.executable, "tools/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "up to date" in run.stdout


def test_synchronous_client_is_current() -> None:
    """Generating the synchronous client again changes nothing."""
    run = subprocess.run(
        [sys.executable, "tools/unasync.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
