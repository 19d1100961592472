"""Unmodified tritonclient against the inference service."""

from collections.abc import Iterator
from importlib import metadata

import numpy as np
import pytest
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

from .conftest import FEATURES, Served, until


@pytest.fixture
def client(served: Served) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(served.address("inference")) as made:
        yield made


def request_of(x: np.ndarray) -> list[triton.InferInput]:
    tensor = triton.InferInput("input", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x)
    return [tensor]


def test_client_is_recent() -> None:
    """The client under test is 2.73 or newer."""
    assert tuple(map(int, metadata.version("tritonclient").split(".")[:2])) >= (2, 73)


def test_infers(served: Served, client: triton.InferenceServerClient, model: str, rows: np.ndarray) -> None:
    """An inference by tritonclient gives the model's own numbers, its version and a prediction id."""
    label, scores = served.expected[model](rows)
    result = client.infer(model, request_of(rows), request_id="r-1")
    np.testing.assert_array_equal(result.as_numpy("label"), label)
    np.testing.assert_allclose(result.as_numpy("scores"), scores, rtol=1e-4, atol=1e-4)
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == (model, "1", "r-1")
    trace = served.client.trace(response.parameters["prediction_id"].string_param)
    assert trace.version.name == f"models/{model}/versions/1"
    assert response.parameters["digest"].string_param == trace.version.digest
    assert response.parameters["node"].string_param == trace.node


@pytest.mark.parametrize("version", ["1", "production", ""])
def test_versions(client: triton.InferenceServerClient, rows: np.ndarray, version: str) -> None:
    """A version may be a number, an alias or empty, and the answer names the number."""
    result = client.infer("bits", request_of(rows), model_version=version)
    assert result.get_response().model_version == "1"


def test_chooses_outputs(client: triton.InferenceServerClient, model: str, rows: np.ndarray) -> None:
    """Only the requested output comes back."""
    result = client.infer(model, request_of(rows), outputs=[triton.InferRequestedOutput("label")])
    assert [output.name for output in result.get_response().outputs] == ["label"]


def test_infers_asynchronously(
    served: Served, client: triton.InferenceServerClient, model: str, rows: np.ndarray
) -> None:
    """The client's asynchronous call gives the same answer."""
    answers: list = []
    call = client.async_infer(model, request_of(rows), callback=lambda result, error: answers.append((result, error)))
    until(lambda: bool(answers), "the callback is called")
    ((result, error),) = answers
    assert error is None
    assert call is not None
    np.testing.assert_array_equal(result.as_numpy("label"), served.expected[model](rows)[0])


def test_reads_health(client: triton.InferenceServerClient, model: str) -> None:
    """The server and the model say that they are live and ready, an unknown model that it is not."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    assert not client.is_model_ready("unknown")


def test_reads_metadata(client: triton.InferenceServerClient, model: str) -> None:
    """Server and model metadata have the protocol's fields."""
    server = client.get_server_metadata(as_json=True)
    assert server["name"]
    assert server["version"]
    described = client.get_model_metadata(model)
    assert described.name == model
    assert list(described.versions) == ["1"]
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in described.inputs] == [
        ("input", "FP32", [-1, FEATURES])
    ]
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in described.outputs] == [
        ("label", "INT64", [-1]),
        ("scores", "FP32", [-1, 10]),
    ]


def test_reads_index(client: triton.InferenceServerClient) -> None:
    """The repository index lists both models as ready."""
    index = client.get_model_repository_index()
    assert {(entry.name, entry.version, entry.state) for entry in index.models} == {
        ("bits", "1", "READY"),
        ("linear", "1", "READY"),
    }


def test_reads_statistics(client: triton.InferenceServerClient, model: str, rows: np.ndarray) -> None:
    """Statistics count an inference and its rows."""

    def statistics() -> tuple[int, int]:
        (entry,) = client.get_inference_statistics(model, "1").model_stats
        assert (entry.name, entry.version) == (model, "1")
        return entry.inference_stats.success.count, entry.inference_count

    requests, inferences = statistics()
    client.infer(model, request_of(rows))
    assert statistics() == (requests + 1, inferences + len(rows))


def test_errors_are_statuses(client: triton.InferenceServerClient, rows: np.ndarray) -> None:
    """An unknown model is NOT_FOUND and a wrong shape INVALID_ARGUMENT, each with a message that names it."""
    with pytest.raises(InferenceServerException, match="unknown") as raised:
        client.infer("unknown", request_of(rows))
    assert raised.value.status() == "StatusCode.NOT_FOUND"
    with pytest.raises(InferenceServerException, match="input") as raised:
        client.infer("bits", request_of(rows[:, :-1].copy()))
    assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"
