"""Memory over many loads and unloads, and requests through many swaps: cases 4.1, 4.2, 4.3 and 4.25, in a short form.

`make bench-serving` has the long form with its numbers; here a leak of one model a cycle would be found.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from neuralmesh import AsyncClient
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.request import Caller
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, push_digits, when, when_ready

ROWS = np.random.default_rng(7).random((2, 64), dtype=np.float32)
CYCLES = 200
PAGE = 4096


def resident() -> int:
    """Return the resident bytes of this process, after everything that can be given back was."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def cycle(node: InferenceApp, client: AsyncClient, model: str) -> None:
    """Unload a model, load it, and use it."""
    await node._repository.unload(model)
    await node._repository.load(model, Caller())
    await client.infer(model, {"input": ROWS})


@pytest.mark.parametrize("kind", ["onnx", "liam.binary_network"])
async def test_loads_and_unloads_leave_nothing_behind(suite: Suite, kind: str) -> None:
    """Two hundred cycles grow the process by less than a fifth of the models that were loaded meanwhile."""
    node = await suite.start_node()
    client = suite.client(node)
    onnx = kind == "onnx"
    content = models.digits_onnx(1, hidden=2048) if onnx else models.digits_liam(suite.folder)
    await push_digits(client, content, kind)
    await when_ready(node, "digits", 1)
    for _ in range(CYCLES // 4):
        await cycle(node, client, "digits")
    before = resident()
    for _ in range(CYCLES):
        await cycle(node, client, "digits")
    grown = resident() - before
    assert grown < max(CYCLES * len(content) // 5, 4 * 1024 * 1024)
    assert grown < 8 * 1024 * 1024


async def test_an_unloaded_model_is_gone(suite: Suite) -> None:
    """Nothing holds a version once it is unloaded and its requests are answered: no snapshot, no table, no counter."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    snapshot = await when_ready(node, "digits", 1, 2)
    for version in (1, 2):
        await client.infer("digits", {"input": ROWS}, version=str(version))
    held = [weakref.ref(snapshot.served["digits", version].loaded) for version in (1, 2)]
    del snapshot
    await node._repository.unload("digits")
    await asyncio.sleep(0)
    gc.collect()
    assert [reference() for reference in held] == [None, None]
    assert node._repository.states()["digits", 1].state == "UNAVAILABLE"


async def test_clients_see_no_error_through_fifty_moves(suite: Suite) -> None:
    """Case 4.1: single and streamed requests run through promotions and rollbacks: no error, each answer is one version's."""
    node = await suite.start_node()
    client = suite.client(node)
    digests, outputs = {}, {}
    for seed in (1, 2):
        number = await push_digits(client, models.digits_onnx(seed))
        digests[number] = (await client.registry.get_version("digits", number)).digest
        outputs[number] = ROWS @ models.digits_weights(seed)
    await client.promote("digits", 1)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    done = asyncio.Event()

    async def ask() -> dict[int, int]:
        mine = suite.client(node)
        seen = dict.fromkeys(digests, 0)
        while not done.is_set():
            answer = await mine.infer("digits", {"input": ROWS})
            assert answer.digest == digests[answer.version]
            np.testing.assert_allclose(answer.outputs["scores"], outputs[answer.version], rtol=1e-4, atol=1e-4)
            seen[answer.version] += 1
        return seen

    asking = [asyncio.create_task(ask()) for _ in range(6)]
    for turn in range(50):
        target = 2 - turn % 2
        if target == 1:
            await client.rollback("digits", reason="back")
        else:
            await client.promote("digits", 2, reason="on")
        await when(node, lambda snapshot, v=target: snapshot.aliases["digits", "production"] == v)
    done.set()
    counts = await asyncio.wait_for(asyncio.gather(*asking), PATIENCE)
    assert all(count > 0 for seen in counts for count in seen.values())


async def test_other_models_answer_through_loads_and_unloads(suite: Suite) -> None:
    """While one model is loaded and unloaded, requests for another are all answered, by the version they always had."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await push_digits(client, models.digits_onnx(2), model="other")
    await when_ready(node, "digits", 1)
    await when_ready(node, "other", 1)
    done = asyncio.Event()

    async def ask() -> int:
        mine, count = suite.client(node), 0
        while not done.is_set():
            answer = await mine.infer("other", {"input": ROWS})
            expected = ROWS @ models.digits_weights(2)
            np.testing.assert_allclose(answer.outputs["scores"], expected, rtol=1e-4, atol=1e-4)
            count += 1
        return count

    asking = [asyncio.create_task(ask()) for _ in range(2)]
    for _ in range(20):
        await node._repository.unload("digits")
        await node._repository.load("digits", Caller())
    done.set()
    assert min(await asyncio.wait_for(asyncio.gather(*asking), PATIENCE)) > 0
