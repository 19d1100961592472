"""The known failures of other servers, by their numbers in the reference, and the tests that keep us from them.

`CASES` says where each one is tested; the test below holds that those tests exist. The cases without a test elsewhere
are tested here.
"""

from __future__ import annotations

import ast
import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from neuralmesh import oip
from neuralmesh_server.inference.request import Caller
from tests.inference import models
from tests.inference.conftest import Suite, push_digits, when_ready
from tests.inference.test_service import call

TESTS = Path(__file__).resolve().parents[1]
ROWS = np.random.default_rng(7).random((2, 64), dtype=np.float32)

CASES = {
    "4.1 errors while versions are swapped": ["inference/test_leaks.py::test_clients_see_no_error_through_fifty_moves"],
    "4.2 memory grows with reloads": ["inference/test_leaks.py::test_loads_and_unloads_leave_nothing_behind"],
    "4.3 a request's cost grows with reloads": ["inference/test_cases.py::test_reloads_leave_tables_as_they_were"],
    "4.5 A fails, B loads, A again": ["inference/test_repository.py::test_one_fails_another_loads_and_the_first_again"],
    "4.6 an alias before its version": [
        "inference/test_loader.py::test_a_node_comes_up_with_an_alias_on_a_broken_version",
        "inference/test_loader.py::test_a_node_is_ready_though_an_unnamed_version_never_loads",
        "inference/test_loader.py::test_an_alias_that_moves_to_a_stalled_version_stays_where_it_was",
    ],
    "4.7 files of a live version overwritten": [
        "inference/test_cases.py::test_a_live_version_does_not_see_its_files_change",
        "inference/test_node.py::test_an_artifact_that_was_damaged_on_the_node_is_fetched_again",
    ],
    "4.15 paths in names": [
        "interop/test_hostile.py::test_names",
        "inference/test_repository.py::test_what_is_refused",
    ],
    "4.17 denial of service": [
        "interop/test_hostile.py::test_shapes",
        "interop/test_hostile.py::test_changed_requests",
        "interop/test_hostile.py::test_a_prefix_of_two_gibibytes_takes_no_memory",
    ],
    "4.18 an answer of another request": ["inference/test_cases.py::test_no_answer_is_taken_for_another"],
    "4.19 pending calls at shutdown": ["inference/test_stream.py::test_a_stopping_node_ends_its_streams"],
    "4.20 load in kserve's dialect": [
        "inference/test_repository.py::test_unload_and_load_in_both_dialects",
        "interop/test_kserve_client.py::test_infers_loads_and_unloads",
    ],
    "4.21 statistics vanish": ["inference/test_repository.py::test_counters_outlive_an_unload"],
    "4.22 settings of unknown models": [
        "inference/test_service.py::test_trace_settings_of_an_unknown_model_are_not_found"
    ],
    "4.23 models mixed up on a connection": ["inference/test_stream.py::test_models_alternate_on_one_stream"],
    "4.25 reload mixes versions": ["inference/test_leaks.py::test_other_models_answer_through_loads_and_unloads"],
    "4.26 memory grows with requests": ["inference/test_cases.py::test_requests_leave_nothing_behind"],
}


def functions(path: Path) -> set[str]:
    """Return the names of the test functions of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)}


@pytest.mark.parametrize("case", CASES)
def test_every_case_has_its_tests(case: str) -> None:
    """The tests that a case names exist."""
    for test in CASES[case]:
        file, _, name = test.partition("::")
        assert name in functions(TESTS / file)


async def test_reloads_leave_tables_as_they_were(suite: Suite) -> None:
    """Case 4.3: what a request looks through has the same size after fifty reloads as after the first."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await when_ready(node, "digits", 1, 2)

    async def sizes() -> list[int]:
        await node._repository.unload("digits")
        await node._repository.load("digits", Caller())
        for version in (1, 2):
            await client.infer("digits", {"input": ROWS}, version=version)
        snapshot, loader = node._serving.snapshot(), node._loader
        tables = (snapshot.routes, snapshot.states, snapshot.served, node._hot._prepared, list(node._service._activity))
        held = (loader._tasks, loader._failures, loader.leaving(), node._serving._waiting, node._service._streams)
        return [len(table) for table in (*tables, *held)]

    first = await sizes()
    for _ in range(50):
        last = await sizes()
    assert last == first


async def test_a_live_version_does_not_see_its_files_change(suite: Suite) -> None:
    """Case 4.7: bytes that change on disk change no answer, and the next load refuses them and fetches the right ones."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await when_ready(node, "digits", 1)
    before = await client.infer("digits", {"input": ROWS})
    (stored,) = (path for path in (suite.folder / "local" / "artifacts" / "sha256").rglob("*") if path.is_file())
    stored.chmod(0o600)
    stored.write_bytes(models.digits_onnx(2))
    after = await client.infer("digits", {"input": ROWS})
    assert after.outputs["scores"].tobytes() == before.outputs["scores"].tobytes()
    await node._repository.unload("digits")
    await node._repository.load("digits", Caller())
    again = await client.infer("digits", {"input": ROWS})
    assert again.outputs["scores"].tobytes() == before.outputs["scores"].tobytes()
    assert stored.read_bytes() == models.digits_onnx(1)


async def test_no_answer_is_taken_for_another(suite: Suite) -> None:
    """Case 4.18: the same bytes in another shape, for another model or for another version get their own answers."""
    node = await suite.start_node()
    client = suite.client(node)
    for seed in (1, 2):
        await push_digits(client, models.digits_onnx(seed))
    await push_digits(client, models.digits_onnx(3), model="other")
    await client.push("pairs", kind="onnx", files={"model.onnx": models.identity_onnx("FP32")})
    await client.push("wholes", kind="onnx", files={"model.onnx": models.identity_onnx("INT32")})
    await when_ready(node, "digits", 1, 2)
    for name in ("other", "pairs", "wholes"):
        await when_ready(node, name, 1)
    for _ in range(2):
        for name, version, seed in (("digits", "1", 1), ("digits", "2", 2), ("other", "1", 3)):
            answer = await client.infer(name, {"input": ROWS}, version=version)
            expected = ROWS @ models.digits_weights(seed)
            np.testing.assert_allclose(answer.outputs["scores"], expected, rtol=1e-4, atol=1e-4)
        raw = np.arange(12, dtype=np.int32).tobytes()
        for name, datatype, shape in (("pairs", "FP32", [6, 2]), ("wholes", "INT32", [6, 2])):
            request = oip.ModelInferRequest(model_name=name, raw_input_contents=[raw])
            request.inputs.add(name="x", datatype=datatype, shape=shape)
            answered = await call(node, "ModelInfer", request)
            assert (answered.outputs[0].datatype, list(answered.outputs[0].shape)) == (datatype, shape)


async def test_requests_leave_nothing_behind(suite: Suite) -> None:
    """Case 4.26, in a short form: after a warm-up, ten thousand answers hold no more Python memory than five thousand."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await push_digits(client, models.digits_onnx(1))
    await when_ready(node, "digits", 1, 2)
    requests = []
    for version in ("1", "2"):
        request = oip.ModelInferRequest(model_name="digits", model_version=version)
        request.inputs.add(name="input", datatype="FP32", shape=ROWS.shape)
        request.raw_input_contents.append(ROWS.tobytes())
        requests.append(request.SerializeToString())

    async def answer(count: int) -> int:
        for number in range(count):
            data = requests[number % 2]
            if node._hot.answer(data) is None:
                await node._service.infer(data, Caller())
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        await answer(5_000)
        before = await answer(5_000)
        after = await answer(5_000)
    finally:
        tracemalloc.stop()
    assert after - before < 100_000
