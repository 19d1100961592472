"""An edge node follows its desired state, says what became of it, and refuses what is wrong."""

from __future__ import annotations

import asyncio

from tests.inference import models
from tests.inference.conftest import when_settled
from tests.inference.edge.conftest import Site, answer
from tests.inference.edge.fakes import Outcome


async def test_a_node_applies_what_it_is_sent_and_answers(site: Site) -> None:
    """The first state is fetched, loaded and acknowledged with its digest."""
    node = await site.start()
    report = await site.registry.applied()
    assert report.state_digest == site.registry.digest()
    await when_settled(node)
    assert (await answer(site.client(node))).version == 1
    hello = site.registry.hellos[0]
    assert (hello.node, dict(hello.labels), hello.applied_revision, hello.state_digest) == (
        "edge-1",
        {"tier": "edge"},
        0,
        b"",
    )
    assert len(hello.id_key) == 32


async def test_a_promotion_is_pending_until_it_is_loaded(site: Site) -> None:
    """While artifacts come the node says PENDING and the old version answers; then APPLIED and the new one does."""
    node = await site.start()
    await site.registry.applied()
    client = site.client(node)
    number = site.registry.push("digits", models.digits_onnx(2))
    gate = site.registry.gates[site.registry.digest_of("digits", number)] = asyncio.Event()
    revision = await site.registry.promote("digits", number)
    pending = await site.registry.reported(
        lambda one: one.outcome == Outcome.OUTCOME_PENDING and one.revision == revision
    )
    assert "digits/2" in pending.reason
    assert (await answer(client)).version == 1
    gate.set()
    await site.registry.applied(revision)
    assert (await answer(client)).version == 2
