"""Repeated requests over a real server: request ids make one change."""

from __future__ import annotations

import asyncio

import grpc


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
