"""Access with real processes: the node's own token, the actor in the history, and what strangers are told."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from liam_core import write_binary_network
from neuralmesh import Client
from neuralmesh.exceptions import PermissionDeniedError, UnauthenticatedError
from neuralmesh.prediction import build_request
from neuralmesh.registry.v1 import resources_pb2
from neuralmesh_server.runtime import tokens
from neuralmesh_server.runtime.access import Grant
from tests.processes import Service, until

ROW = np.linspace(-1, 1, 16, dtype=np.float32)[None]
GRANTS = {
    "node": Grant("node", ("*",)),
    "owner": Grant("admin", ("*",)),
    "app": Grant("reader", ("net*",)),
    "stranger": Grant("reader", ("other",)),
}


class Suite:
    """Registry, metrics and inference that share one tokens file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "tokens.json"
        self.tokens = {name: tokens.new_token() for name in GRANTS}
        self.write(GRANTS)
        access = {"NEURALMESH_TOKENS": str(self.file)}
        registry = Service("registry", folder, **access).start()
        metrics = Service("metrics", folder, **access).start()
        inference = Service(
            "inference",
            folder,
            NEURALMESH_REGISTRY=registry.address,
            NEURALMESH_METRICS=metrics.address,
            NEURALMESH_TOKEN=self.tokens["node"],
            **access,
        )
        self.services = {"registry": registry, "metrics": metrics, "inference": inference}
        inference.start()

    def write(self, grants: dict[str, Grant]) -> None:
        tokens.write(
            self.file,
            [tokens.make_entry(name, [grant], token=self.tokens[name]) for name, grant in grants.items()],
        )

    def client(self, name: str) -> Client:
        addresses = {name: service.address for name, service in self.services.items()}
        return Client(**addresses, token=self.tokens.get(name, name), actor="somebody", timeout=10)

    def close(self) -> None:
        for service in self.services.values():
            service.kill()


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    suite = Suite(tmp_path)
    yield suite
    suite.close()


def push(client: Client, folder: Path) -> None:
    """Push and promote a network."""
    path = folder / "net.safetensors"
    weights = np.where(np.random.default_rng(7).random((4, 16)) < 0.5, -1, 1).astype(np.int8)
    write_binary_network(
        path, features=16, encoding_thresholds=np.zeros(16, np.float32), hidden=[], head_weights=weights
    )
    spec = resources_pb2.TensorSpec
    signature = resources_pb2.Signature(
        inputs=[spec(name="input", datatype="FP32", shape=[-1, 16])],
        outputs=[
            spec(name="label", datatype="INT64", shape=[-1]),
            spec(name="scores", datatype="FP32", shape=[-1, 4]),
        ],
        label_output="label",
    )
    version = client.push("net", path, kind="liam.binary_network", signature=signature).version
    client.promote("net", version, reason="first")


def test_the_suite_works_for_those_who_may_and_for_nobody_else(suite: Suite, tmp_path: Path) -> None:
    """The node follows and reports by its token; callers get what their roles permit; the history names the token."""
    with suite.client("owner") as owner, suite.client("app") as app, suite.client("stranger") as stranger:
        push(owner, tmp_path)
        until(lambda: app.inference.model_ready("net"), "the node serves what it downloaded with its token")
        answer = app.infer("net", {"input": ROW})
        with pytest.raises(PermissionDeniedError, match="'stranger' lacks the role reader for model 'net'"):
            stranger.infer("net", {"input": ROW})
        nothing = {"version": "", "outputs": (), "request_id": "", "parameters": None}
        requests = [build_request(model, {"input": ROW}, **nothing) for model in ("net", "net", "other")]
        answers = app.inference.model_stream_infer(requests)
        assert [next(answers).infer_response.model_name for _ in range(2)] == ["net", "net"]
        with pytest.raises(PermissionDeniedError, match="model 'other'"):
            next(answers)
        with suite.client("nmt_unknown") as unknown, pytest.raises(UnauthenticatedError):
            unknown.infer("net", {"input": ROW})
        with pytest.raises(PermissionDeniedError):
            app.promote("net", 1)
        app.record_outcome(answer.prediction_id, answer.outputs["label"].tolist())
        until(lambda: [one.outcomes for one in app.metrics.list_version_metrics("net")] == [1], "the report was let in")
        assert app.trace(answer.prediction_id).version.version == 1
        with pytest.raises(PermissionDeniedError):
            stranger.trace(answer.prediction_id)
        moved = next(iter(owner.registry.list_events("net", "production"))).actor
        assert (moved.id, moved.authenticated, moved.on_behalf_of) == ("owner", True, "somebody")
    logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert "nmt_" not in logs


def test_a_token_that_is_taken_away_works_no_longer(suite: Suite) -> None:
    """Servers see a change of the file by themselves."""
    with suite.client("app") as app:
        assert list(app.registry.list_models()) == []
        suite.write({name: grant for name, grant in GRANTS.items() if name != "app"})

        def refused() -> bool:
            try:
                app.inference.server_metadata()
            except UnauthenticatedError:
                return True
            return False

        until(refused, "the token is refused")
