"""kill -9 of a real registry process while eight writers push changes: nothing acknowledged is lost.

NEURALMESH_CRASH_ROUNDS sets how many rounds are run on one folder; the default is short enough for every test run.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import sys

import apsw
import grpc

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import registry_service_pb2_grpc as api_grpc
from neuralmesh.registry.v1 import resources_pb2 as resources
from tests.channels import OWN

ROUNDS = int(os.environ.get("NEURALMESH_CRASH_ROUNDS", "5"))
WRITERS = 8

RUNNER = """
import sys
from pathlib import Path
from neuralmesh_server.runtime import transport
transport.configure()
from neuralmesh_server.registry.app import RegistryApp
from neuralmesh_server.runtime import logs, process
from neuralmesh_server.settings import Endpoint, RegistrySettings, ServerSettings
settings = RegistrySettings(ServerSettings(Endpoint("127.0.0.1", 0)), Path(sys.argv[1]))
logs.configure()
process.run(lambda: RegistryApp(settings))
"""


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


async def start(data):
    """Start a registry process; returns it and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUNNER,
        str(data),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    async with asyncio.timeout(30):
        line = (await process.stdout.readline()).decode()
    assert line.startswith("listening registry "), line
    return process, line.split()[-1]


class Writer:
    """Pushes artifacts, versions and promotions of its own model, and keeps what was acknowledged."""

    def __init__(self, number):
        self.model = f"writer-{number}"
        self.artifacts = set()
        self.versions = {}
        self.moves = []
        self.policies = []
        self.count = 0

    async def run(self, stub):
        try:
            while True:
                await self.turn(stub)
        except grpc.aio.AioRpcError as error:
            if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
                raise
        except asyncio.CancelledError:  # grpc's own, where the line breaks between two pieces of an upload
            assert not asyncio.current_task().cancelling()

    async def turn(self, stub):
        self.count += 1
        data = f"{self.model} {self.count} ".encode() * 2000
        name = digest(data)

        async def chunks():
            for start in range(0, len(data), 16384):
                yield api.UploadArtifactRequest(
                    digest=name, size_bytes=len(data), offset=start, data=data[start : start + 16384]
                )

        assert (await stub.UploadArtifact(chunks())).complete
        self.artifacts.add(name)
        file = resources.File(path="model", size_bytes=len(data), digest=name)
        request = api.CreateVersionRequest(parent=f"models/{self.model}", kind="onnx", files=[file])
        version = (await stub.CreateVersion(request)).version
        self.versions[version.version] = version
        canary = resources.Canary(version=version.version - 1, share_ppm=self.count) if version.version > 1 else None
        state = resources.AliasState(version=version.version, canary=canary)
        alias = (
            await stub.PromoteAlias(
                api.PromoteAliasRequest(name=f"models/{self.model}/aliases/production", state=state)
            )
        ).alias
        assert alias.state == state
        self.moves.append((alias.revision, state))
        policy = resources.ModelPolicy(limits=resources.LimitPolicy(max_running=self.count))
        await stub.SetModelPolicy(api.SetModelPolicyRequest(name=f"models/{self.model}", policy=policy))
        self.policies.append(policy)
        protection = resources.AliasProtection(require_proof=True, min_requests=self.count)
        await stub.ProtectAlias(
            api.ProtectAliasRequest(name=f"models/{self.model}/aliases/staging", protection=protection)
        )


async def log(stub):
    events, token = [], ""
    while True:
        page = await stub.ListEvents(api.ListEventsRequest(page_size=1000, page_token=token))
        events.extend(page.events)
        token = page.next_page_token
        if not token:
            return events[::-1]


async def check(stub, writers):
    """Compare what a restarted registry holds with what was acknowledged."""
    events = await log(stub)
    assert [event.revision for event in events] == list(range(1, len(events) + 1))
    for event in events:
        assert event.leaf_hash == hashlib.sha256(b"\0" + event.canonical).digest()
        assert json.loads(event.canonical)["revision"] == event.revision
    by_revision = {event.revision: event for event in events}
    for writer in writers:
        for version in writer.versions.values():
            assert by_revision[version.revision].version_created.version == version
            assert (await stub.GetVersion(api.GetVersionRequest(name=version.name))).version == version
        for revision, state in writer.moves:
            moved = by_revision[revision].alias_moved
            assert moved.alias == f"models/{writer.model}/aliases/production"
            assert moved.after == state
        model = f"models/{writer.model}"
        changes = [event.model_policy_changed.after for event in events if event.model_policy_changed.model == model]
        assert [policy for policy in changes if policy in writer.policies] == writer.policies
        if changes:
            assert (await stub.GetModel(api.GetModelRequest(name=model))).model.policy == changes[-1]
    stored = {file.digest for event in events for file in event.version_created.version.files}
    for name in stored.union(*(writer.artifacts for writer in writers)):
        sha = hashlib.sha256()
        async for piece in stub.DownloadArtifact(api.DownloadArtifactRequest(digest=name)):
            sha.update(piece.data)
        assert f"sha256:{sha.hexdigest()}" == name


async def test_kill_while_writing(tmp_path):
    """After each kill every acknowledged change is there, the log has no gap, and no half-written artifact is visible."""
    data = tmp_path / "data"
    seed = random.Random(20260101)
    writers = [Writer(number) for number in range(WRITERS)]
    for turn in range(ROUNDS + 1):
        process, address = await start(data)
        try:
            async with grpc.aio.insecure_channel(address, OWN) as channel:
                stub = api_grpc.RegistryServiceStub(channel)
                if turn == 0:
                    for writer in writers:
                        await stub.CreateModel(api.CreateModelRequest(model_id=writer.model))
                else:
                    await check(stub, writers)
                tasks = [asyncio.create_task(writer.run(stub)) for writer in writers]
                await asyncio.wait(tasks, timeout=seed.uniform(0.1, 0.5))
                process.send_signal(signal.SIGKILL)
                await asyncio.gather(*tasks)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        connection = apsw.Connection(str(data / "registry.sqlite"))
        assert connection.pragma("integrity_check") == "ok"
        assert list(connection.execute("PRAGMA foreign_key_check")) == []
        connection.close()
        for path in (data / "artifacts" / "sha256").glob("*/*"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert sum(len(writer.moves) for writer in writers) >= WRITERS * ROUNDS
