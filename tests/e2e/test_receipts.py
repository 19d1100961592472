"""Receipts: a prediction is written down, the world moves on, and it is run again on the same version."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from neuralmesh import Client, receipts
from neuralmesh.exceptions import FailedPreconditionError, InvalidArgumentError
from neuralmesh.inference.v1.receipt_pb2 import Receipt
from neuralmesh.prediction import build_request
from tests.e2e.test_survival import ROW, promote, push, serves
from tests.processes import Service, running_services, until


@pytest.fixture
def services(tmp_path: Path) -> Iterator[dict[str, Service]]:
    with running_services(tmp_path) as services:
        yield services


@pytest.fixture
def client(services: dict[str, Service]) -> Iterator[Client]:
    addresses = {name: service.address for name, service in services.items()}
    with Client(**addresses, actor="tester", timeout=10) as client:
        yield client


def request(row: np.ndarray = ROW) -> object:
    return build_request("net", {"input": row}, version="", outputs=(), request_id="r1", parameters=None)


def test_receipt_replays_bit_for_bit_after_promotion_and_restart(
    services: dict[str, Service], client: Client, tmp_path: Path
) -> None:
    """The stored bytes of a receipt are enough to run the old version again and find the same outputs."""
    first, second = push(client, tmp_path, 1), push(client, tmp_path, 2)
    promote(client, first, "first")
    stored = client.infer_with_receipt(request()).SerializeToString()
    promote(client, second, "second")
    services["inference"].kill()
    services["inference"].start()
    until(lambda: serves(client, second), "the node serves again")

    receipt = Receipt.FromString(stored)
    replay = client.replay(receipt)
    assert replay.identical
    assert replay.prediction.version == receipt.version == first
    assert replay.prediction.prediction_id != receipt.prediction_id
    assert client.trace(receipt.prediction_id).version.digest == receipt.digest


def test_replay_sees_a_difference(client: Client, tmp_path: Path) -> None:
    """Outputs that are not those of the receipt are found."""
    promote(client, push(client, tmp_path, 1), "first")
    receipt = client.infer_with_receipt(request())
    other = client.infer_with_receipt(request(-ROW))
    assert other.outputs_digest != receipt.outputs_digest
    receipt.outputs_digest = other.outputs_digest
    assert not client.replay(receipt).identical


def test_replay_refuses_what_it_cannot_compare(client: Client, tmp_path: Path) -> None:
    """A receipt without its request, with another one, or of another digest is refused and says why."""
    promote(client, push(client, tmp_path, 1), "first")
    receipt = client.infer_with_receipt(request())
    without, changed, moved = Receipt(), Receipt(), Receipt()
    for copy in (without, changed, moved):
        copy.CopyFrom(receipt)
    without.ClearField("request")
    with pytest.raises(InvalidArgumentError, match="holds no request"):
        client.replay(without)
    changed.request += b"\x00"
    with pytest.raises(InvalidArgumentError, match="does not have the digest"):
        client.replay(changed)
    moved.digest = "sha256:" + "0" * 64
    with pytest.raises(FailedPreconditionError) as raised:
        client.replay(moved)
    assert raised.value.reason == "DIGEST_MISMATCH"


def test_predict_writes_a_receipt(services: dict[str, Service], client: Client, tmp_path: Path) -> None:
    """`neuralmesh predict --receipt FILE` leaves a receipt that replays."""
    promote(client, push(client, tmp_path, 1), "first")
    path = tmp_path / "receipt.binpb"
    command = [sys.executable, "-m", "neuralmesh_server", "predict", "net", "--receipt", str(path), "--json"]
    command += ["--input", f"input={ROW.tolist()}"]
    for name in ("registry", "inference"):
        command += [f"--{name}", services[name].address]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    receipt = Receipt.FromString(path.read_bytes())
    assert receipt.prediction_id in run.stdout
    assert client.replay(receipt).identical


def test_outputs_digest_is_that_of_the_definition(client: Client, tmp_path: Path) -> None:
    """The digest is recomputed here from the contract's words alone."""
    import hashlib

    from neuralmesh import oip

    promote(client, push(client, tmp_path, 1), "first")
    receipt = client.infer_with_receipt(request())
    response = oip.ModelInferResponse.FromString(receipt.response)
    label, scores = response.raw_output_contents
    content = b'{"bytes":8,"datatype":"INT64","name":"label","shape":[1]}\n' + label
    content += b'{"bytes":16,"datatype":"FP32","name":"scores","shape":[1,4]}\n' + scores
    assert receipt.outputs_digest == "sha256:" + hashlib.sha256(content).hexdigest()
    assert receipts.outputs_digest(response) == receipt.outputs_digest
