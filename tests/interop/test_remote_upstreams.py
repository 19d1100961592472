"""A real MLServer, Triton and KServe behind versions of kind `remote`, with a canary split beside a LIAM version.

The servers compute what the LIAM network computes, so that every answer can be checked whichever arm gave it.
`make peers` and `make tools` install them; without them these tests fail.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.foreign import Foreign, start_mlserver, start_triton
from bench.processes import ServerProcess, Suite
from liam_core import write_binary_network
from neuralmesh import Client, exceptions, oip
from neuralmesh_server.inference.upstreams.descriptor import Descriptor
from tests.interop.conftest import CLASSES, FEATURES, TOOLS, signature, until

MODELS = Path(__file__).parent / "upstreams"
LIAM, DECLARED, UNDECLARED = 1, 2, 3
REQUESTS = 200


def start_kserve(folder: Path, stack: ExitStack, models: Path, model: str) -> Foreign:
    """Start KServe's model server, whose two ports were free a moment ago."""
    with socket.socket() as one, socket.socket() as two:
        for probe in (one, two):
            probe.bind(("127.0.0.1", 0))
        http, port = one.getsockname()[1], two.getsockname()[1]
    process = ServerProcess(
        [str(models / "serve.py"), f"--http_port={http}", f"--grpc_port={port}"],
        {},
        folder / "kserve.log",
        program=str(TOOLS / "interop" / "bin" / "python"),
    )
    stack.callback(process.kill)
    address = f"127.0.0.1:{port}"
    with Client(inference=address) as client:

        def ready() -> bool:
            assert process.running, (folder / "kserve.log").read_text()
            try:
                return client.inference.model_ready(model)
            except exceptions.UnavailableError:
                return False

        until(ready, "KServe is ready", 60.0)
    return Foreign("KServe", process, address)


STARTERS: dict[str, Callable[..., Foreign]] = {
    "kserve": start_kserve,
    "mlserver": start_mlserver,
    "triton": start_triton,
}
WEIGHTS_IN = {"kserve": ".", "mlserver": ".", "triton": "digits/1"}


@dataclass(frozen=True)
class Behind:
    """A foreign server behind a running suite.

    Attributes:
        client: Connected to the suite, whose model `digits` has the version LIAM and two that are upstream's.
        foreign: The server.
        signs: Weights of the network, (classes, features).
        kind: Which server it is.
    """

    client: Client
    foreign: Foreign
    signs: np.ndarray
    kind: str

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Return what the network gives."""
        scores: np.ndarray = (np.where(rows >= 0, 1, -1) @ self.signs.T).astype(np.float32)
        return scores

    def reason(self, model: str, version: int) -> str:
        """Return why a version is not served."""
        found = self.client.inference.repository_index().models
        return next((one.reason for one in found if (one.name, one.version) == (model, str(version))), "")

    def ask(self, rows: np.ndarray, version: object = "", **keys: Any) -> tuple[Any, dict[str, str]]:
        """Return an answer, whose outputs are right, and its parameters."""
        request = oip.ModelInferRequest(model_name="digits", model_version=str(version), **keys)
        request.inputs.add(name="input", datatype="FP32", shape=rows.shape)
        request.raw_input_contents.append(rows.tobytes())
        response = self.client.inference.model_infer(request)
        scores = self.scores(rows)
        found = {one.name: (one.datatype, list(one.shape)) for one in response.outputs}
        column = version == UNDECLARED and self.kind == "triton"  # its batches have no vectors, and it says so
        vector = [len(rows), 1] if column else [len(rows)]
        assert found == {"label": ("INT64", vector), "scores": ("FP32", [len(rows), CLASSES])}
        assert np.frombuffer(response.raw_output_contents[0], np.int64).tolist() == scores.argmax(axis=1).tolist()
        assert response.raw_output_contents[1] == scores.tobytes()
        return response, {name: value.string_param for name, value in response.parameters.items()}


@pytest.fixture(scope="module", params=sorted(STARTERS))
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """A suite in front of each server."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    random = np.random.default_rng(5)
    signs = np.where(random.random((CLASSES, FEATURES)) < 0.5, -1, 1).astype(np.int8)
    models = folder / "models"
    shutil.copytree(MODELS / request.param, models)
    np.save(models / WEIGHTS_IN[request.param] / "signs.npy", signs)
    write_binary_network(
        folder / "bits.safetensors",
        features=FEATURES,
        encoding_thresholds=np.zeros(FEATURES, np.float32),
        hidden=[],
        head_weights=signs,
    )
    with ExitStack() as stack:
        foreign = STARTERS[request.param](folder, stack, models, "digits")
        services = stack.enter_context(Suite(folder))
        client = stack.enter_context(Client(**services.addresses, actor="interop"))
        client.push("digits", folder / "bits.safetensors", kind="liam.binary_network", signature=signature())
        for timeout_ms, declared in ((30_000, signature()), (20_000, None)):
            descriptor = Descriptor(foreign.address, "digits", timeout_ms=timeout_ms)
            client.push("digits", kind="remote", files={"remote.json": descriptor.encode()}, signature=declared)
        for version in (LIAM, DECLARED):
            until(
                lambda version=version: client.inference.model_ready("digits", version),
                f"version {version} is ready: {client.inference.repository_index()}",
            )
        yield Behind(client, foreign, signs, request.param)


@pytest.mark.parametrize("version", [LIAM, DECLARED])
@pytest.mark.parametrize("rows", [1, 3, 64])
def test_every_version_answers_alike(behind: Behind, version: int, rows: int) -> None:
    """The server's version gives the same bits as the LIAM version, under its own number and digest."""
    x = np.random.default_rng(rows).standard_normal((rows, FEATURES)).astype(np.float32)
    response, parameters = behind.ask(x, version, id="mine")
    assert (response.model_version, response.id) == (str(version), "mine")
    assert parameters["digest"] == behind.client.registry.get_version("digits", version).digest
    assert parameters.get("identity", "") == ("" if version == LIAM else "unverified")


def test_typed_contents_and_wanted_outputs(behind: Behind) -> None:
    """Typed elements go through, and only what was wanted comes back, raw."""
    x = np.random.default_rng(2).standard_normal((2, FEATURES)).astype(np.float32)
    request = oip.ModelInferRequest(model_name="digits", model_version=str(DECLARED))
    request.inputs.add(name="input", datatype="FP32", shape=x.shape, contents={"fp32_contents": x.ravel().tolist()})
    request.outputs.add(name="scores")
    response = behind.client.inference.model_infer(request)
    assert [output.name for output in response.outputs] == ["scores"]
    assert list(response.raw_output_contents) == [behind.scores(x).tobytes()]


def test_the_server_says_what_the_model_takes(behind: Behind) -> None:
    """A version that declares nothing has the server's own signature; KServe has none, so that it is not served."""
    inference = behind.client.inference
    if behind.kind == "kserve":
        until(lambda: "declare the version's signature" in behind.reason("digits", UNDECLARED), "the reason is told")
        return
    until(lambda: inference.model_ready("digits", UNDECLARED), "the version is ready")
    behind.ask(np.ones((3, FEATURES), np.float32), UNDECLARED)
    found = behind.client.inference.model_metadata("digits", UNDECLARED)
    assert [(one.name, one.datatype, list(one.shape)) for one in found.inputs] == [("input", "FP32", [-1, FEATURES])]
    assert [(one.name, one.datatype, one.shape[0]) for one in found.outputs] == [
        ("label", "INT64", -1),
        ("scores", "FP32", -1),
    ]


def test_a_canary_splits_between_liam_and_the_server(behind: Behind) -> None:
    """An alias sends each unit to one of the two, always the same one, and both give the right answer."""
    behind.client.promote("digits", LIAM, canary=(DECLARED, 0.5), sticky="parameter:customer", reason="canary")
    until(lambda: behind.client.inference.model_ready("digits", "production"), "the canary is in force")
    random = np.random.default_rng(3)
    arms: dict[str, str] = {}
    for number in range(REQUESTS):
        customer = f"c{number % (REQUESTS // 2)}"
        x = random.standard_normal((1, FEATURES)).astype(np.float32)
        response, parameters = behind.ask(x, "production", parameters={"customer": {"string_param": customer}})
        version = response.model_version
        assert arms.setdefault(customer, version) == version
        assert parameters["arm"] == {str(LIAM): "stable", str(DECLARED): "canary"}[version]
        assert ("identity" in parameters) == (version == str(DECLARED))
    shares = [list(arms.values()).count(str(version)) for version in (LIAM, DECLARED)]
    assert sum(shares) == REQUESTS // 2
    assert min(shares) >= 20  # of 100 fair throws, fewer than 20 come once in 10^9


def test_what_the_server_refuses_is_told(behind: Behind) -> None:
    """A model that the server does not have is not served, with the server's own words."""
    descriptor = Descriptor(behind.foreign.address, "missing")
    behind.client.push("other", kind="remote", files={"remote.json": descriptor.encode()}, signature=signature())
    label = f"upstream {behind.foreign.address}/missing"
    until(lambda: label in behind.reason("other", 1), "the reason is told")


def test_a_server_that_dies_leaves_the_other_versions(behind: Behind) -> None:
    """When the server is gone, its versions are UNAVAILABLE, which is safe to retry, and the LIAM version answers."""
    behind.foreign.process.kill()
    x = np.ones((1, FEATURES), np.float32)

    def refused() -> bool:
        with pytest.raises(exceptions.NeuralMeshError) as caught:
            behind.ask(x, DECLARED)
        # A connection whose end has not been noticed yet may have carried the request.
        assert isinstance(caught.value, exceptions.UnavailableError | exceptions.InternalError)
        return caught.value.reason == "PEER_UNREACHABLE"

    until(refused, "the server's end is noticed")
    behind.ask(x, LIAM)
