"""kserve's InferenceGRPCClient in a process of its own, since it cannot share one with tritonclient."""

import json
import subprocess
from typing import Any

import numpy as np

from .conftest import TOOLS, Served

PROGRAM = """
import asyncio, json, sys
import numpy as np
from grpc.aio import AioRpcError
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceGRPCClient
from kserve.protocol.grpc.grpc_predict_v2_pb2 import (
    RepositoryModelLoadRequest, RepositoryModelUnloadRequest, ServerMetadataRequest, ModelMetadataRequest)

address, model, data = sys.argv[1:]
rows = np.array(json.loads(data), np.float32)


def request_of(name, raw):
    tensor = InferInput("input", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=raw)
    return InferRequest(model_name=name, infer_inputs=[tensor], request_id="k-1")


async def main():
    said = {}
    client = InferenceGRPCClient(url=address)
    said["live"] = await client.is_server_live()
    said["ready"] = await client.is_server_ready()
    said["model_ready"] = await client.is_model_ready(model)
    for raw in (True, False):
        answer = await client.infer(request_of(model, raw))
        said["raw" if raw else "typed"] = {
            "id": answer.id, "model": answer.model_name, "version": answer.model_version,
            **{output.name: output.as_numpy().ravel().tolist() for output in answer.outputs}}
    try:
        await client.infer(request_of("unknown", True))
    except AioRpcError as error:
        said["failure"] = error.code().name
    stub = client._client_stub
    said["unloaded"] = str(await stub.RepositoryModelUnload(RepositoryModelUnloadRequest(model_name=model)))
    said["ready_then"] = await client.is_model_ready(model)
    said["loaded"] = str(await stub.RepositoryModelLoad(RepositoryModelLoadRequest(model_name=model)))
    said["ready_again"] = await client.is_model_ready(model)
    said["platform"] = (await stub.ModelMetadata(ModelMetadataRequest(name=model))).platform
    said["server"] = (await stub.ServerMetadata(ServerMetadataRequest())).name
    await client.close()
    print(json.dumps(said))


asyncio.run(main())
"""


def run(served: Served, model: str, rows: np.ndarray) -> Any:
    command = [str(TOOLS / "interop" / "bin" / "python"), "-c", PROGRAM, served.address("inference"), model]
    done = subprocess.run(
        [*command, json.dumps(rows.tolist())], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_infers_loads_and_unloads(served: Served, model: str, rows: np.ndarray) -> None:
    """Health, predictions with raw and typed contents, failures, and kserve's own dialect of load and unload work."""
    said = run(served, model, rows)
    assert (said["live"], said["ready"], said["model_ready"]) == (True, True, True)
    label, scores = served.expected[model](rows)
    for way in ("raw", "typed"):
        assert (said[way]["id"], said[way]["model"], said[way]["version"]) == ("k-1", model, "1")
        assert said[way]["label"] == label.tolist()
        np.testing.assert_allclose(said[way]["scores"], scores.ravel(), rtol=1e-4, atol=1e-4)
    assert said["failure"] == "NOT_FOUND"
    assert (said["ready_then"], said["ready_again"]) == (False, True)
    assert f'model_name: "{model}"' in said["unloaded"]
    assert "isUnloaded: true" in said["unloaded"]
    assert "isLoaded: true" in said["loaded"]
    assert said["server"] == "neuralmesh"
