"""kill -9 of a real metrics process while nodes send: what was acknowledged counts, exactly once."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from pathlib import Path

import grpc
import pytest

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh.metrics.v1 import metrics_service_pb2_grpc
from tests.channels import OWN
from tests.metrics import samples

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 5
NODES = ("edge-a", "edge-b", "edge-c", "edge-d")

ROLLOUT = pb.RolloutDelta(
    model="digits", alias="production", revision=3, stable_version=1, canary_version=2, share_ppm=10,
    canary=pb.ArmDelta(requests=2, units=1, failures=1, failed_units=1),
    first_failures=[pb.UnitFailure(unit=5, canary=True, code="INTERNAL", offset_ms=1)],
)  # fmt: skip

PROGRAM = """
import sys
from pathlib import Path
from neuralmesh_server.runtime import logs, transport
transport.configure()
logs.configure()
from neuralmesh_server.metrics.app import MetricsApp
from neuralmesh_server.runtime import process
from neuralmesh_server.settings import Endpoint, MetricsSettings, ServerSettings
settings = MetricsSettings(
    server=ServerSettings(Endpoint("127.0.0.1", 0)), data=Path(sys.argv[1]), http=None
)
process.run(lambda: MetricsApp(settings))
"""


class Sender:
    """A node that sends deltas one after the other and repeats the one it is not sure of."""

    def __init__(self, node):
        self.node = node
        self.ids = samples.issuer(node)
        self.acknowledged = []
        self.outcomes = []
        self.sent = samples.delta_message(node, 0)

    def next_delta(self):
        """Return the delta that comes after the acknowledged ones; the same until it is acknowledged."""
        sequence = len(self.acknowledged) + 1
        if self.sent.sequence != sequence:
            identifier = samples.new_id(self.ids)
            self.sent = samples.delta_message(
                self.node,
                sequence,
                versions=[samples.version_message(requests=sequence, errors={"INTERNAL": 1})],
                predictions=[samples.predictions_message([identifier], [[sequence % 2]])],
                rollouts=[ROLLOUT],
            )
        return self.sent

    async def run(self, stub, progress):
        """Send until the server is gone."""
        try:
            while True:
                delta = self.next_delta()
                await stub.IngestDelta(delta)
                self.acknowledged.append(delta)
                outcome = samples.outcome_message(delta.predictions[0].prediction_ids[0], 0)
                await stub.RecordOutcome(outcome)
                self.outcomes.append(outcome)
                progress()
        except grpc.aio.AioRpcError as error:
            assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}, error  # noqa: PT017


async def started(folder):
    """Start the service as a process of its own; return it and its address."""
    environment = {"PYTHONPATH": f"{ROOT}/services:{ROOT}/clients/python/src:{ROOT}/native", "PATH": ""}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(folder), stdout=asyncio.subprocess.PIPE, env=environment
    )
    line = (await process.stdout.readline()).decode().split()
    assert line[:2] == ["listening", "metrics"]
    return process, line[2]


async def totals(stub):
    """Return the figures of the one version, or none before its first delta."""
    listed = (await stub.ListVersionMetrics(pb.ListVersionMetricsRequest())).metrics
    return listed[0] if listed else pb.VersionMetrics()


@pytest.mark.timeout(120)
async def test_acknowledged_deltas_count_exactly_once_after_kill_9(tmp_path):
    """Over five kills under load no acknowledged delta or outcome is lost and none counts twice."""
    senders = [Sender(node) for node in NODES]
    source = random.Random(11)
    for _ in range(ROUNDS):
        process, address = await started(tmp_path)
        enough = asyncio.Event()
        left = source.randint(20, 120)

        def progress(enough=enough):
            nonlocal left
            left -= 1
            if left <= 0:
                enough.set()

        async with grpc.aio.insecure_channel(address, OWN) as channel:
            stub = metrics_service_pb2_grpc.MetricsServiceStub(channel)
            await check(stub, senders)
            running = [asyncio.create_task(sender.run(stub, progress)) for sender in senders]
            await enough.wait()
            process.send_signal(signal.SIGKILL)
            await asyncio.gather(*running)
        assert await process.wait() == -signal.SIGKILL
    process, address = await started(tmp_path)
    async with grpc.aio.insecure_channel(address, OWN) as channel:
        stub = metrics_service_pb2_grpc.MetricsServiceStub(channel)
        await check(stub, senders)
        for sender in senders:
            delta = sender.next_delta()
            await stub.IngestDelta(delta)
            sender.acknowledged.append(delta)
            for known in sender.acknowledged:
                assert (await stub.IngestDelta(known)).duplicate
                await stub.RecordOutcome(samples.outcome_message(known.predictions[0].prediction_ids[0], 0))
        every = [delta for sender in senders for delta in sender.acknowledged]
        found = await totals(stub)
        assert found.requests == sum(delta.versions[0].requests for delta in every)
        assert found.errors == len(every)
        (step,) = (await stub.ListRolloutMetrics(pb.ListRolloutMetricsRequest())).rollouts
        assert step.canary == pb.ArmDelta(
            requests=2 * len(every), units=len(every), failures=len(every), failed_units=len(every)
        )
        assert list(found.latency_seconds.counts) == [found.requests]
        assert found.outcomes == len(every)
        assert found.correct == sum(delta.sequence % 2 == 0 for delta in every)
        operations = await stub.GetOperations(pb.GetOperationsRequest())
        assert "0 deltas never came" in operations.rows[-1].detail
    process.terminate()
    assert await process.wait() == 0


async def check(stub, senders):
    """Compare the service with what was acknowledged; at most one delta of each node may be there beyond that."""
    found = await totals(stub)
    known = sum(len(sender.acknowledged) for sender in senders)
    sent = known + sum(sender.sent.sequence > len(sender.acknowledged) for sender in senders)
    assert known <= found.errors <= sent
    outcomes = [outcome for sender in senders for outcome in sender.outcomes]
    assert len(outcomes) <= found.outcomes <= sent
    for outcome in outcomes[-20:]:
        assert (await stub.RecordOutcome(outcome)).state == pb.RecordOutcomeResponse.STATE_COUNTED
    assert (await totals(stub)).outcomes == found.outcomes
