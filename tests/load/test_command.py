"""`neuralmesh load` against a real server, as a process."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc
import numpy as np
import pytest

from tests.cli.processes import clean_environment
from tests.load.answerer import MODEL, Answerer, answerer


@pytest.fixture
async def server(tmp_path):
    """Run the server."""
    async with answerer(tmp_path / "socket") as running:
        yield running


async def run(server: Answerer, *arguments: object, code: int = 0, token: str = "") -> tuple[str, str]:
    """Run the command and require its exit code; returns what it printed on both streams."""
    environment = {**clean_environment(), **({"NEURALMESH_TOKEN": token} if token else {})}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "neuralmesh_server", "load", *map(str, arguments)),
        *("--inference", server.address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, errors = (text.decode() for text in await process.communicate())
    assert process.returncode == code, f"{process.returncode}\n{out}\n{errors}"
    assert "Traceback" not in errors
    return out, errors


async def run_json(server: Answerer, *arguments: object, code: int = 0) -> Any:
    """Run the command with --json and return its document."""
    return json.loads((await run(server, *arguments, "--json", code=code))[0])


async def test_an_open_loop_reports_the_whole_schedule(server):
    """All requests are sent, answered and right, over the number of connections asked for."""
    found = await run_json(server, MODEL, "--rate", 400, "--duration", 0.5, "--connections", 3)
    assert (found["sent"], found["right"], found["failed"], found["wrong"]) == (200, 200, 0, 0)
    assert found["versions"] == {"1": 200}
    assert found["latency"]["p99"] >= found["latency"]["p50"] > 0
    assert found["model"] == MODEL
    assert found["rate"] == 400


async def test_rows_come_from_a_file(server, tmp_path):
    """The rows of a .npy or .json file are sent in turn."""
    np.save(tmp_path / "rows.npy", np.eye(4, dtype=np.float32))
    (tmp_path / "rows.json").write_text(json.dumps(np.eye(4).tolist()))
    for file in ("rows.npy", "rows.json"):
        found = await run_json(
            server, f"{MODEL}@1", "--clients", 2, "--duration", 0.2, "--data", f"input={tmp_path / file}", "--rows", 2
        )
        assert found["sent"] == found["right"] > 0


async def test_the_load_goes_over_a_unix_socket_too(server):
    """An address `unix:PATH` is one like any other."""
    server.address = f"unix:{server.path}"
    found = await run_json(server, MODEL, "--rate", 100, "--duration", 0.2)
    assert found["right"] == found["sent"] == 20


async def test_every_connection_sends_the_token(server):
    """The token of the environment proves who asks, as with every command."""
    await run(server, MODEL, "--rate", 100, "--duration", 0.2, token="secret")
    assert server.tokens == {"Bearer secret"}


async def test_the_tables_say_what_matters(server):
    """For people: latencies from both moments, counts, versions."""
    out, _ = await run(server, MODEL, "--rate", 200, "--duration", 0.2)
    for words in ("from the intended moment", "from sending", "version 1", "40 answers", "100.00%", "right", "wrong"):
        assert words in out


async def test_failed_requests_end_with_exit_code_1(server):
    """The tables still come, with the failures by status, then one line says why the code is not 0."""
    server.status = lambda number: grpc.StatusCode.UNAVAILABLE if number > 1 and number % 2 else None
    out, errors = await run(server, MODEL, "--clients", 1, "--duration", 0.2, code=1)
    assert "PEER_UNREACHABLE" in out
    assert "requests failed" in errors
    assert errors.count("\n") == 1


async def test_wrong_answers_end_with_exit_code_1(server):
    """A version that says something else in the run than alone is found out, with an example."""
    server.spoil = lambda number, outputs: outputs + np.float32(number > 5)
    found = await run_json(server, MODEL, "--clients", 1, "--duration", 0.2, code=1)
    assert found["wrong"] > 0
    assert found["failed"] == 0
    assert "output differs in" in found["wrong_examples"][0]["why"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([MODEL], "either --rate"),
        ([MODEL, "--rate", 1, "--clients", 1], "either --rate"),
        ([MODEL, "--rate", 1, "--shape", "triangular"], "poisson or uniform"),
        (["Not a model", "--rate", 1], "Not a model"),
        ([MODEL, "--rate", 1, "--data", "absent.npy"], "absent.npy"),
        ([MODEL, "--rate", 1, "--data", "other=absent.npy"], "'other' is unknown"),
    ],
)
async def test_wrong_usage_is_said_before_anything_is_sent(server, arguments, words):
    """The exit code is that of wrong usage, and no request was made."""
    _, errors = await run(server, *arguments, code=2)
    assert words in errors
    assert server.asked == 0


async def test_a_version_that_is_not_there_is_not_found(server):
    """The exit code is that of `predict`."""
    _, errors = await run(server, f"{MODEL}@9", "--rate", 1, code=3)
    assert "no version 9" in errors


async def test_a_server_that_is_not_there_is_unavailable(server):
    """The exit code is that of a service that cannot be reached."""
    server.address = "127.0.0.1:1"
    _, errors = await run(server, MODEL, "--rate", 1, code=4)
    assert "127.0.0.1:1 cannot be reached" in errors
