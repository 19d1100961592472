"""Limits of requests over a real server: sizes, characters and malformed bytes."""

from __future__ import annotations

import grpc
import pytest

from neuralmesh.registry.v1 import registry_service_pb2 as api
from tests.channels import OWN


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"description": "d" * 4097}, "description"),
        ({"description": "ü" * 2049}, "description"),
        ({"description": "a\0b"}, "description"),
        ({"actor": "a" * 257}, "actor"),
        ({"actor": "a\nb"}, "actor"),
        ({"reason": "r" * 1025}, "reason"),
        ({"request_id": "i" * 129}, "request_id"),
        ({"request_id": "i\x1b[0m"}, "request_id"),
        ({"metadata": {f"k{number}": "" for number in range(65)}}, "metadata"),
        ({"metadata": {"k" * 129: ""}}, "metadata key"),
        ({"metadata": {"": "v"}}, "metadata key"),
        ({"metadata": {"k": "v" * 1025}}, "metadata[k]"),
        ({"paths": []}, "files"),
        ({"paths": [f"f{number}" for number in range(1001)]}, "files"),
        ({"paths": ["a", "a"]}, "files[1].path"),
        ({"paths": ["a/b", "a"]}, "files"),
        *(
            ({"paths": [path]}, "files[0].path")
            for path in [
                "",
                "/a",
                "a/",
                "a//b",
                "..",
                "../a",
                "a/../b",
                "./a",
                "a/.",
                "a\0",
                "a b",
                "a\\b",
                "ä",
                "f" * 256,
                "a\u2215b",
            ]
        ),
        ({"size": -1}, "files[0].size_bytes"),
        ({"tensor": {"name": ""}}, "signature.inputs[0].name"),
        ({"tensor": {"name": "n" * 129}}, "signature.inputs[0].name"),
        ({"tensor": {"datatype": "FP31"}}, "signature.inputs[0].datatype"),
        ({"tensor": {"shape": [-2]}}, "signature.inputs[0].shape"),
        ({"tensor": {"shape": [2**62]}}, "signature.inputs[0].shape"),
        ({"label": "scores"}, "signature.label_output"),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_limits_name_their_field(registry, change, field):
    """Every limit of a new version is refused as FIELD_INVALID that names the field."""
    await registry.model()
    stored = await registry.file(b"one", "model.onnx")
    request = api.CreateVersionRequest(parent="models/digits", kind="onnx")
    for path in change.pop("paths", ["model.onnx"]):
        request.files.add(path=path, size_bytes=change.get("size", 3), digest=stored.digest)
    change.pop("size", None)
    tensor = {"name": "input", "datatype": "FP32", "shape": [-1]} | change.pop("tensor", {})
    request.signature.inputs.add(**tensor)
    request.signature.label_output = change.pop("label", "")
    request.MergeFrom(api.CreateVersionRequest(**change))
    failure = await registry.failure(registry.stub.CreateVersion(request))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert failure.metadata["field"] == field
    assert len(await registry.events()) == 1


async def test_limits_themselves_are_permitted(registry):
    """Values exactly at their limits pass and come back whole."""
    model = await registry.model(
        "m" * 128, description="d" * 4096, actor="a" * 256, reason="r" * 1024, request_id="i" * 128
    )
    assert (len(model.name), len(model.description)) == (128 + 7, 4096)
    metadata = {f"{number:0128}": "v" * 1024 for number in range(64)}
    file = await registry.file(b"x", "p" * 255)
    request = api.CreateVersionRequest(parent=model.name, kind="k" * 63, files=[file], metadata=metadata)
    request.signature.outputs.add(name="n" * 128, datatype="BYTES", shape=[])
    request.signature.label_output = "n" * 128
    version = (await registry.stub.CreateVersion(request)).version
    assert dict(version.metadata) == metadata
    many = api.CreateVersionRequest(parent=model.name, kind="onnx")
    for number in range(1000):
        many.files.add(path=f"f{number}", size_bytes=1, digest=file.digest)
    assert len((await registry.stub.CreateVersion(many)).version.files) == 1000


async def test_bytes_that_are_no_request_are_refused(registry):
    """Invalid UTF-8 in a text field is the caller's error, not an internal one."""
    async with grpc.aio.insecure_channel(str(registry.app.endpoint), OWN) as raw:
        call = raw.unary_unary("/neuralmesh.registry.v1.RegistryService/CreateModel")
        failure = await registry.failure(call(b"\x0a\x02\xff\xfe"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED")


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\0", "\r", "\x9b", "\u202e", "\u2066"])
async def test_free_text_cannot_steer_a_terminal(registry, character):
    """Control and bidirectional characters in free text are FIELD_INVALID; newline and tab are permitted."""
    await registry.model(description="two\n\tlines")
    wrong = f"a{character}b"
    calls = {
        "description": registry.model("other", description=wrong),
        "reason": registry.model("other", reason=wrong),
        "metadata[k]": registry.version(metadata={"k": wrong}),
    }
    for field, call in calls.items():
        failure = await registry.failure(call)
        assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", field)
