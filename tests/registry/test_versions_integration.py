"""Models and versions over a real server: their numbers, contents and artifacts."""

from __future__ import annotations

import asyncio
import hashlib
import json

import grpc

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import resources_pb2 as resources


async def test_concurrent_versions_are_numbered_without_gaps(registry):
    """64 concurrent CreateVersion calls get the numbers 1 to 64, each once."""
    await registry.model()
    versions = await asyncio.gather(*(registry.version(data=b"%d" % number) for number in range(64)))
    assert sorted(version.version for version in versions) == list(range(1, 65))
    model = (await registry.stub.GetModel(api.GetModelRequest(name="models/digits"))).model
    assert model.latest_version == 64


async def test_a_version_says_what_was_pushed(registry, digest_of):
    """A version has its manifest in canonical order, sums, digest and origin, and reads the same later."""
    await registry.model()
    big, small = await registry.file(b"weights" * 100, "b/weights.bin"), await registry.file(b"{}", "a.json")
    signature = resources.Signature(
        inputs=[resources.TensorSpec(name="input", datatype="FP32", shape=[-1, 64])],
        outputs=[resources.TensorSpec(name="label", datatype="INT64", shape=[-1])],
        label_output="label",
    )
    answer = await registry.stub.CreateVersion(
        api.CreateVersionRequest(
            parent="models/digits",
            kind="onnx",
            files=[big, small],
            signature=signature,
            description="first",
            metadata={"commit": "abc", "data": "uci"},
            actor="ann",
            reason="because",
        )
    )
    version = answer.version
    assert version.name == "models/digits/versions/1"
    assert [file.path for file in version.files] == ["a.json", "b/weights.bin"]
    assert version.size_bytes == 702
    assert version.signature == signature
    assert dict(version.metadata) == {"commit": "abc", "data": "uci"}
    assert version.actor.id == "ann"
    form = (
        '{"files":['
        f'{{"digest":"{small.digest}","path":"a.json","size_bytes":2}},'
        f'{{"digest":"{big.digest}","path":"b/weights.bin","size_bytes":700}}],'
        '"kind":"onnx","signature":{"inputs":[{"datatype":"FP32","name":"input","shape":[-1,64]}],'
        '"label_output":"label","outputs":[{"datatype":"INT64","name":"label","shape":[-1]}]}}'
    )
    assert version.digest == digest_of(form.encode())
    read = await registry.stub.GetVersion(api.GetVersionRequest(name=version.name))
    assert read.version == version
    event = (await registry.events())[-1]
    assert event.version_created.version == version
    assert (event.reason, event.actor.id) == ("because", "ann")
    assert event.leaf_hash == hashlib.sha256(b"\0" + event.canonical).digest()
    facts = json.loads(event.canonical)
    assert (facts["revision"], facts["actor"]["id"], facts["reason"]) == (event.revision, "ann", "because")
    assert facts["time_ms"] == event.create_time.ToMilliseconds()
    assert facts["change"]["digest"] == version.digest


async def test_the_same_content_is_one_version(registry):
    """Content that a model has is refused with its number, whatever the description; another kind is other content."""
    await registry.model()
    await registry.version(data=b"one")
    failure = await registry.failure(registry.version(data=b"one", description="other words"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, "VERSION_CONTENT_EXISTS")
    assert failure.metadata["version"] == "1"
    request = api.CreateVersionRequest(parent="models/digits", kind="liam.binary_network")
    request.files.add(path="model.onnx", size_bytes=3, digest="sha256:" + hashlib.sha256(b"one").hexdigest())
    assert (await registry.stub.CreateVersion(request)).version.version == 2


async def test_a_model_exists_once(registry):
    """A taken name is refused as ALREADY_EXISTS."""
    await registry.model()
    failure = await registry.failure(registry.model())
    assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, "MODEL_EXISTS")


async def test_artifacts_come_first(registry, digest_of):
    """A manifest whose artifacts are absent, or only half there, or of another size, makes no version."""
    await registry.model()
    absent = resources.File(path="a", size_bytes=3, digest=digest_of(b"abc"))
    request = api.CreateVersionRequest(parent="models/digits", kind="onnx", files=[absent])
    failure = await registry.failure(registry.stub.CreateVersion(request))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ARTIFACT_MISSING")
    assert failure.metadata["missing"] == absent.digest
    await registry.upload(b"abc", end=2)
    assert (await registry.failure(registry.stub.CreateVersion(request))).reason == "ARTIFACT_MISSING"
    await registry.upload(b"abc", offset=2)
    request.files[0].size_bytes = 4
    failure = await registry.failure(registry.stub.CreateVersion(request))
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", "files[0].size_bytes")
    request.files[0].size_bytes = 3
    assert (await registry.stub.CreateVersion(request)).version.version == 1
    assert len(await registry.events()) == 2
