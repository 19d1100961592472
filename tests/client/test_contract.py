"""Every RPC of the contracts has a method in both clients, and both clients offer the same."""

from __future__ import annotations

import inspect

import pytest

from neuralmesh import AsyncClient, Client, _service, oip
from neuralmesh_server.runtime.handlers import snake_case

SERVICES = {
    "registry": _service.REGISTRY,
    "inference": oip.SERVICE,
    "metrics": _service.METRICS,
    "mesh": _service.MESH,
    "labor": _service.LABOR,
}
METHODS = [(name, method.name) for name, service in SERVICES.items() for method in service.methods]


@pytest.mark.parametrize(("service", "method"), METHODS)
@pytest.mark.parametrize("kind", [AsyncClient, Client])
def test_every_rpc_has_a_client_method(kind, service, method):
    """An RPC's snake-case name is a documented method of the client."""
    found = getattr(getattr(kind(), service), snake_case(method))
    assert callable(found)
    assert found.__doc__


@pytest.mark.parametrize("part", ["", *SERVICES])
def test_both_clients_offer_the_same(part):
    """The synchronous client has the asynchronous one's methods with the same parameters."""
    one, other = (getattr(kind(), part) if part else kind() for kind in (AsyncClient, Client))
    assert _signatures(one) == _signatures(other)


def _signatures(target: object) -> dict[str, list[tuple[str, object, object]]]:
    return {
        name: [
            (parameter.name, parameter.kind, parameter.default)
            for parameter in inspect.signature(member).parameters.values()
        ]
        for name, member in inspect.getmembers(target, callable)
        if not name.startswith("_")
    }
