"""Names of models and versions over a real server: bad ones are refused, unknown ones not found."""

from __future__ import annotations

import grpc
import pytest

from neuralmesh.registry.v1 import registry_service_pb2 as api

BAD_NAMES = [
    "",
    "..",
    "a..b",
    "../etc/passwd",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "-a",
    ".a",
    "A",
    "a b",
    "m" * 129,
    "m" * 256,
    "m" * 5000,
    "dіgits",  # Cyrillic letter i
    "digits\u2215x",  # division slash
    "a\uff0fb",  # full-width slash
    "a\u202eb",  # right-to-left override
    "a\u200bb",  # zero-width space
    "１",  # full-width digit
]


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_bad_names_are_refused_everywhere(registry, name):
    """A bad name is INVALID_ARGUMENT as a model, in a resource name, as an alias and as a node, and nothing is written."""
    stub = registry.stub
    calls = [
        registry.model(name),
        stub.GetModel(api.GetModelRequest(name=f"models/{name}")),
        stub.ListVersions(api.ListVersionsRequest(parent=f"models/{name}")),
        stub.CreateVersion(api.CreateVersionRequest(parent=f"models/{name}", kind="onnx")),
        registry.promote(1, model=name),
        registry.promote(1, alias=name),
        registry.rollback(alias=name),
        stub.RegisterNode(api.RegisterNodeRequest(node=name, id_key=b"k" * 32)),
    ]
    if name != "a..b":  # a kind is no path, and may hold dots
        calls.append(stub.CreateVersion(api.CreateVersionRequest(parent="models/digits", kind=name)))
    if name:
        calls.append(stub.ListEvents(api.ListEventsRequest(parent=f"models/{name}")))
    for call in calls:
        failure = await registry.failure(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "NAME_INVALID")
    assert await registry.events() == []


@pytest.mark.parametrize(
    "version", ["1abc", "-1", " 1", "1 ", "0", "01", "99999999999", "2147483648", "", "+1", "１", "1.0"]
)
async def test_bad_versions_are_refused(registry, version):
    """A version that is not a plain number from 1 to 2^31 - 1 is VERSION_INVALID."""
    await registry.versions(1)
    request = api.GetVersionRequest(name=f"models/digits/versions/{version}")
    failure = await registry.failure(registry.stub.GetVersion(request))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "VERSION_INVALID")


@pytest.mark.parametrize("name", ["digits", "models/", "models/digits/versions", "/models/digits", "models/digits/"])
async def test_other_forms_of_resource_names_are_refused(registry, name):
    """What is not of the form models/{model} is NAME_INVALID."""
    await registry.model()
    failure = await registry.failure(registry.stub.GetModel(api.GetModelRequest(name=name)))
    assert failure.reason == "NAME_INVALID"


async def test_unknown_things_are_not_found(registry):
    """Unknown models and versions are NOT_FOUND with their own reasons, in lists too."""
    stub = registry.stub
    for call in (
        stub.GetModel(api.GetModelRequest(name="models/nobody")),
        stub.ListVersions(api.ListVersionsRequest(parent="models/nobody")),
        stub.ListAliases(api.ListAliasesRequest(parent="models/nobody")),
        stub.ListEvents(api.ListEventsRequest(parent="models/nobody")),
        registry.version("nobody"),
    ):
        failure = await registry.failure(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    await registry.model()
    failure = await registry.failure(stub.GetVersion(api.GetVersionRequest(name="models/digits/versions/1")))
    assert failure.reason == "VERSION_NOT_FOUND"
    request = api.ListEventsRequest(parent="models/digits/aliases/production")
    assert (await registry.failure(stub.ListEvents(request))).reason == "ALIAS_NOT_FOUND"
