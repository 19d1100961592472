"""Models and versions over a real server: numbers, names, limits, pages, repeats."""

from __future__ import annotations

import asyncio
import hashlib
import json

import grpc
import pytest

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import resources_pb2 as resources

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
    async with grpc.aio.insecure_channel(str(registry.app.endpoint)) as raw:
        call = raw.unary_unary("/neuralmesh.registry.v1.RegistryService/CreateModel")
        failure = await registry.failure(call(b"\x0a\x02\xff\xfe"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED")


async def test_pages_hold_everything_once(registry):
    """Pages of models, versions, aliases and events put together are the whole list in its documented order."""
    await registry.versions(7)
    for name in ("b", "a-2", "a.1", "0"):
        await registry.model(name)
    for alias in ("staging", "production", "blue"):
        await registry.promote(1, alias)

    async def walk(method, request, field):
        found, sizes = [], []
        while True:
            answer = await method(request)
            items = getattr(answer, field)
            found.extend(items)
            sizes.append(len(items))
            request.page_token = answer.next_page_token
            if not answer.next_page_token:
                return found, sizes

    stub = registry.stub
    models, sizes = await walk(stub.ListModels, api.ListModelsRequest(page_size=2), "models")
    assert [model.name for model in models] == [f"models/{name}" for name in ("0", "a-2", "a.1", "b", "digits")]
    assert sizes == [2, 2, 1]
    request = api.ListVersionsRequest(parent="models/digits", page_size=7)
    versions, sizes = await walk(stub.ListVersions, request, "versions")
    assert ([version.version for version in versions], sizes) == ([7, 6, 5, 4, 3, 2, 1], [7])
    request = api.ListAliasesRequest(parent="models/digits", page_size=1)
    aliases, sizes = await walk(stub.ListAliases, request, "aliases")
    names = [alias.name.rpartition("/")[2] for alias in aliases]
    assert (names, sizes) == (["blue", "production", "staging"], [1, 1, 1])
    events, _ = await walk(stub.ListEvents, api.ListEventsRequest(page_size=4), "events")
    assert [event.revision for event in events] == list(range(15, 0, -1))
    request = api.ListEventsRequest(parent="models/digits", page_size=4)
    events, _ = await walk(stub.ListEvents, request, "events")
    assert len(events) == 1 + 7 + 3


async def test_page_tokens_belong_to_their_list(registry):
    """A token of another call, other arguments, or nobody's is PAGE_TOKEN_INVALID; a bad page size FIELD_INVALID."""
    await registry.versions(3)
    await registry.model("other")
    first = await registry.stub.ListVersions(api.ListVersionsRequest(parent="models/digits", page_size=1))
    token = first.next_page_token
    stub = registry.stub
    wrong = [
        stub.ListVersions(api.ListVersionsRequest(parent="models/other", page_token=token)),
        stub.ListEvents(api.ListEventsRequest(page_token=token)),
        stub.ListModels(api.ListModelsRequest(page_token=token)),
        *(
            stub.ListVersions(api.ListVersionsRequest(parent="models/digits", page_token=bad))
            for bad in (
                "x",
                "é",
                token[:-1],
                token + "A",
                "A" * 40,
                "W1tb" * 5000,
                "%%%",
                "AAAAAAAAAAAWzFd",
                "AAAAAAAAAAA5OTk5OTk5OTk5OTk5OTk5OTk5",
            )
        ),
    ]
    for call in wrong:
        failure = await registry.failure(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
    failure = await registry.failure(stub.ListModels(api.ListModelsRequest(page_size=-1)))
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", "page_size")
    assert len((await stub.ListModels(api.ListModelsRequest(page_size=5000))).models) == 2


async def test_a_repeated_request_changes_nothing(registry):
    """The very same request with its request id gives the first result, also after later changes."""
    model = await registry.model(request_id="m-1")
    version = await registry.version(request_id="v-1")
    await registry.version(data=b"two")
    promoted = await registry.promote(1, request_id="p-1")
    await registry.promote(2)
    rolled = await registry.rollback(request_id="r-1")
    count = len(await registry.events())
    assert await registry.model(request_id="m-1") == model
    assert await registry.version(request_id="v-1") == version
    assert await registry.promote(1, request_id="p-1") == promoted
    assert await registry.rollback(request_id="r-1") == rolled
    assert len(await registry.events()) == count


async def test_a_request_id_is_for_one_request(registry):
    """Another request, another reason or another method with a used request id is refused; a failed use frees it."""
    await registry.model(request_id="one")
    for call in (
        registry.model("other", request_id="one"),
        registry.model(reason="other", request_id="one"),
        registry.version(request_id="one"),
    ):
        failure = await registry.failure(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    assert (await registry.failure(registry.promote(1, request_id="two"))).reason == "VERSION_NOT_FOUND"
    await registry.version()
    assert (await registry.promote(1, request_id="two")).alias.state.version == 1


async def test_concurrent_repeats_make_one_change(registry):
    """Many concurrent copies of one request make one model and get one answer."""
    models = await asyncio.gather(*(registry.model(request_id="once") for _ in range(20)))
    assert all(model == models[0] for model in models)
    assert len(await registry.events()) == 1


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
