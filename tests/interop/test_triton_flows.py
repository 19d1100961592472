"""The flows of tritonclient's example programs that make sense here, by the unmodified client.

Health and metadata, the repository's control, callbacks, cancellation, asyncio, streams with callbacks and with asyncio,
the header that turns a stream's failure into its status, and what the client says of what is not offered.
"""

import asyncio
import queue
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from tritonclient import grpc as triton
from tritonclient.grpc import aio
from tritonclient.utils import InferenceServerException

from .conftest import FEATURES, Served


@pytest.fixture
def client(served: Served) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(served.address("inference")) as made:
        yield made


def request_of(x: np.ndarray, kind: Any = triton) -> list[Any]:
    tensor = kind.InferInput("input", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x)
    return [tensor]


def collect(results: "queue.Queue[tuple[Any, Any]]", result: Any, error: Any) -> None:
    results.put((result, error))


def test_controls_the_repository(client: triton.InferenceServerClient, model: str, rows: np.ndarray) -> None:
    """Unload, load and the index behave as the model-control example expects, which also tries a name of 256 letters."""
    assert client.is_model_ready(model)
    client.unload_model(model)
    assert not client.is_model_ready(model)
    states = {entry.name: (entry.state, entry.reason) for entry in client.get_model_repository_index().models}
    assert states[model] in {("UNAVAILABLE", "unloaded"), ("UNLOADING", "unloaded")}
    with pytest.raises(InferenceServerException, match="unloaded"):
        client.infer(model, request_of(rows))
    client.load_model(model)
    assert client.is_model_ready(model)
    client.infer(model, request_of(rows))
    for name in ("wrong_model_name", "A" * 256):
        with pytest.raises(InferenceServerException):
            client.load_model(name)
    client.unload_model(model, unload_dependents=True)
    client.load_model(model)
    assert client.is_server_live()


def test_reads_configurations(client: triton.InferenceServerClient, model: str) -> None:
    """The configuration has what clients read to build requests."""
    config = client.get_model_config(model, as_json=True)["config"]
    assert (config["name"], config["input"][0]["name"], config["input"][0]["data_type"]) == (
        model,
        "input",
        "TYPE_FP32",
    )
    assert config["input"][0]["dims"] == [str(FEATURES)]
    assert config["max_batch_size"] >= 3


def test_callbacks_come_for_every_request(served: Served, client: triton.InferenceServerClient, model: str) -> None:
    """Sixteen requests in flight are answered through callbacks, each with its own answer."""
    results: queue.Queue[tuple[Any, Any]] = queue.Queue()
    inputs = [np.random.default_rng(seed).standard_normal((2, FEATURES)).astype(np.float32) for seed in range(16)]
    for seed, x in enumerate(inputs):
        client.async_infer(model, request_of(x), partial(collect, results), request_id=str(seed))
    for _ in inputs:
        result, error = results.get(timeout=20)
        assert error is None
        x = inputs[int(result.get_response().id)]
        np.testing.assert_array_equal(result.as_numpy("label"), served.expected[model](x)[0])


def test_streams_with_callbacks(served: Served, client: triton.InferenceServerClient, model: str) -> None:
    """A stream answers in order; a failure comes with its callback and ends nothing."""
    results: queue.Queue[tuple[Any, Any]] = queue.Queue()
    x = np.random.default_rng(1).standard_normal((1, FEATURES)).astype(np.float32)
    client.start_stream(callback=partial(collect, results))
    for number in range(50):
        client.async_stream_infer("unknown" if number == 20 else model, request_of(x), request_id=str(number))
    for number in range(50):
        result, error = results.get(timeout=20)
        if number == 20:
            assert "unknown" in str(error)
            continue
        assert error is None
        assert result.get_response().id == str(number)
        assert result.get_response().parameters["triton_final_response"].bool_param
        np.testing.assert_array_equal(result.as_numpy("label"), served.expected[model](x)[0])
    client.stop_stream()


def test_streams_may_end_with_a_status(client: triton.InferenceServerClient) -> None:
    """With the header `triton_grpc_error` the client gets the failure as the status of its stream."""
    results: queue.Queue[tuple[Any, Any]] = queue.Queue()
    x = np.zeros((1, FEATURES), np.float32)
    client.start_stream(callback=partial(collect, results), headers={"triton_grpc_error": "true"})
    client.async_stream_infer("unknown", request_of(x))
    _, error = results.get(timeout=20)
    assert error.status() == "StatusCode.NOT_FOUND"
    client.stop_stream()


def test_streams_say_that_an_answer_is_final(client: triton.InferenceServerClient, model: str) -> None:
    """With `enable_empty_final_response` the one answer of a request is the final one."""
    results: queue.Queue[tuple[Any, Any]] = queue.Queue()
    x = np.zeros((1, FEATURES), np.float32)
    client.start_stream(callback=partial(collect, results))
    client.async_stream_infer(model, request_of(x), enable_empty_final_response=True)
    result, error = results.get(timeout=20)
    assert error is None
    assert result.get_response().parameters["triton_final_response"].bool_param is True
    client.stop_stream()
    assert results.empty()


async def test_works_with_asyncio(served: Served, model: str, rows: np.ndarray) -> None:
    """The asyncio client infers, reads, and streams."""
    label, _ = served.expected[model](rows)
    async with aio.InferenceServerClient(served.address("inference")) as client:
        assert await client.is_server_ready()
        assert await client.is_model_ready(model)
        answers = await asyncio.gather(*(client.infer(model, request_of(rows, aio)) for _ in range(8)))
        for answer in answers:
            np.testing.assert_array_equal(answer.as_numpy("label"), label)

        async def requests() -> AsyncIterator[dict[str, Any]]:
            for number in range(20):
                yield {"model_name": model, "inputs": request_of(rows, aio), "request_id": str(number)}

        seen = []
        async for result, error in client.stream_infer(requests()):
            assert error is None
            np.testing.assert_array_equal(result.as_numpy("label"), label)
            seen.append(result.get_response().id)
        assert seen == [str(number) for number in range(20)]
        with pytest.raises(InferenceServerException) as failure:
            await client.infer("unknown", request_of(rows, aio))
        assert failure.value.status() == "StatusCode.NOT_FOUND"


def test_custom_parameters_priority_and_timeout_pass(
    client: triton.InferenceServerClient, model: str, rows: np.ndarray
) -> None:
    """Parameters of the caller's own, a priority, a timeout and a client deadline are taken."""
    answer = client.infer(
        model, request_of(rows), priority=1, timeout=10_000_000, client_timeout=10, parameters={"team": "a", "n": 1}
    )
    assert answer.as_numpy("label").shape == (3,)


def test_sequences_are_refused(client: triton.InferenceServerClient, rows: np.ndarray) -> None:
    """A sequence is refused, since no state is kept between requests."""
    with pytest.raises(InferenceServerException, match="sequence"):
        client.infer("bits", request_of(rows), sequence_id=7, sequence_start=True)


def test_what_is_not_offered_says_so(client: triton.InferenceServerClient) -> None:
    """Shared memory, trace and log settings are UNIMPLEMENTED."""
    for ask in (
        client.get_system_shared_memory_status,
        client.get_cuda_shared_memory_status,
        lambda: client.register_system_shared_memory("r", "/r", 8),
        client.unregister_system_shared_memory,
        client.get_trace_settings,
        client.get_log_settings,
    ):
        with pytest.raises(InferenceServerException) as failure:
            ask()
        assert failure.value.status() == "StatusCode.UNIMPLEMENTED"


def test_a_load_that_brings_files_is_refused(client: triton.InferenceServerClient) -> None:
    """Versions come from the registry; a client cannot bring a configuration or files with the call."""
    with pytest.raises(InferenceServerException, match="registry") as failure:
        client.load_model("bits", config="{}", files={"file:1/model.onnx": b"x"})
    assert failure.value.status() == "StatusCode.UNIMPLEMENTED"
    assert client.is_model_ready("bits")
