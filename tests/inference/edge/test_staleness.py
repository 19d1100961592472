"""How long the registry was silent, what follows for answers, and what is remembered of it."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh import exceptions
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.edge import silence
from neuralmesh_server.inference.edge.silence import Silence, after, step_of
from neuralmesh_server.settings import Endpoint
from tests.inference import models
from tests.inference.conftest import PATIENCE, when, when_ready, when_settled
from tests.inference.edge.conftest import ROWS, Site, answer

FLAG, REFUSE, SERVE = 2, 3, 1


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.floats(0, 1e9))
def test_a_step_is_the_largest_that_has_passed(seconds: float) -> None:
    """It is never more than the silence, and the next one is."""
    step = step_of(seconds)
    assert step <= seconds
    assert after(step) > seconds
    assert step_of(step) == step


def test_the_steps_ascend() -> None:
    """Each is larger than the one before."""
    assert all(one < other for one, other in pairwise(silence.STEPS))
    assert [step_of(seconds) for seconds in (9.9, 10, 59, 7200, 14399, 14400, 30000)] == [
        0, 10, 30, 7200, 7200, 14400, 28800,
    ]  # fmt: skip


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1e6)), max_size=20), st.one_of(st.none(), st.floats(0, 1e6)))
def test_silence_is_the_time_since_the_last_word(moves: list[tuple[bool, float]], kept: float | None) -> None:
    """Whatever was kept before counts until something is heard; nothing makes it smaller but that."""
    clock = Clock()
    counted = Silence(kept, clock)
    expected = kept
    for heard, seconds in moves:
        clock.now += seconds
        expected = None if expected is None else expected + seconds
        if heard:
            counted.heard()
            expected = 0.0
        found = counted.seconds
        assert found is None if expected is None else found == pytest.approx(expected, abs=1e-3)


def silent(node: InferenceApp, seconds: float) -> None:
    """Move a node's clock on and have it look."""
    edge = node._edge
    edge._silence._since -= seconds
    edge._staleness.heard()


async def flagged(site: Site, action: int, after_seconds: int, kind: str = "onnx") -> InferenceApp:
    """Return a node whose model has a policy, with the line cut."""
    if kind != "onnx":
        site.registry.push("packed", models.digits_liam(site.folder), kind=kind)
        await site.registry.promote("packed", 1)
        await site.registry.stale("packed", action, after_seconds)
    await site.registry.stale("digits", action, after_seconds)
    node = await site.start()
    await site.registry.applied()
    await when_settled(node)
    await site.registry.stop()
    return node


async def test_answers_tell_that_they_are_stale(site: Site) -> None:
    """From the policy's limit on every answer carries the seconds, coarsely, on the short way as on the long one."""
    node = await flagged(site, FLAG, 45, "liam.binary_network")
    client = site.client(node)
    for seconds, told in ((40, None), (6, 45), (20, 60), (100, 120), (7200, 7200)):
        silent(node, seconds)
        for model in ("digits", "packed"):
            plain = await answer(client, model)
            long = await client.infer(model, {"input": ROWS}, parameters={"note": "by hand"})
            assert plain.parameters.get("stale_seconds") == told
            assert long.parameters.get("stale_seconds") == told
    assert (await client.edge.get_edge_status()).staleness.seconds >= 7366


async def test_answers_are_refused_when_the_policy_says_so(site: Site) -> None:
    """UNAVAILABLE with STATE_STALE until the registry is heard again; other models go on."""
    site.registry.push("other", models.digits_onnx(5))
    await site.registry.promote("other", 1)
    node = await flagged(site, REFUSE, 0)
    client = site.client(node)
    silent(node, 59)
    assert (await answer(client)).version == 1
    silent(node, 2)
    with pytest.raises(exceptions.UnavailableError) as raised:
        await answer(client)
    assert raised.value.reason == "STATE_STALE"
    assert (await answer(client, "other")).version == 1
    await site.registry.start()
    await when(node, lambda snapshot: snapshot.routes["digits", ""].stale is None)
    assert "stale_seconds" not in (await answer(client)).parameters


async def test_serving_on_says_nothing(site: Site) -> None:
    """SERVE and no policy leave answers as they are."""
    node = await flagged(site, SERVE, 1)
    silent(node, 1e6)
    assert "stale_seconds" not in (await answer(site.client(node))).parameters


async def test_silence_goes_on_over_a_restart(site: Site) -> None:
    """A node that starts with the line down is at least as stale as it was."""
    node = await flagged(site, FLAG, 60)
    silent(node, 130)
    await site.stop_node(node)
    node = await site.start()
    await when_settled(node)
    assert (await answer(site.client(node))).parameters["stale_seconds"] == 120
    assert node._edge._silence.seconds >= 130


async def test_silence_is_kept_coarsely_while_the_process_lives(site: Site) -> None:
    """Each step is on the disk soon after it has passed, so that a kill loses at most what followed."""
    node = await flagged(site, FLAG, 60)
    path = site.folder / "edge-1" / "mesh.json"
    silent(node, 130)
    saved = asyncio.Event()
    node._edge._memory._on_saved = saved.set
    silent(node, 200)
    await asyncio.wait_for(saved.wait(), PATIENCE)
    assert json.loads(path.read_bytes()) == {"highest": 2, "silent_seconds": 300.0, "event_hash": ""}


def test_a_damaged_memory_counts_from_the_start(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """What cannot be read is as if it were not there."""
    from neuralmesh_server.inference.edge.memory import Remembered
    from neuralmesh_server.inference.edge.store_edge import MemoryFile, OverrideFile

    for content in (b"", b"{", b"[]", b'{"highest": "x"}', b'{"highest": 1, "silent_seconds": "y"}'):
        (tmp_path / "mesh.json").write_bytes(content)
        assert MemoryFile(tmp_path).load() == Remembered()
    for content in (b"", b"{", b"[1]", b'[{"model": 1}]'):
        (tmp_path / "overrides.json").write_bytes(content)
        assert OverrideFile(tmp_path).load() == []


async def test_what_is_refused_for_silence_goes_upward_where_it_can(site: Site) -> None:
    """A node with an upstream passes such calls on, and reports how many."""
    first = await site.start("edge-1")
    await site.registry.stale("digits", REFUSE, 60)
    await site.registry.applied()
    await when_settled(first)
    node = await site.start("edge-2", upstream=Endpoint.parse(str(first.endpoint), name="upstream"))
    await when_ready(node, "digits", 1)
    client = site.client(node)
    assert (await answer(client, version=1)).node == "edge-2"
    silent(node, 61)
    assert (await answer(client, version=1)).node == "edge-1"
    assert (await client.edge.get_edge_status()).figures.forwarded == 1
