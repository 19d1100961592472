"""Lists over a real server: pages and their tokens."""

from __future__ import annotations

import grpc

from neuralmesh.registry.v1 import registry_service_pb2 as api


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
