"""`neuralmesh labor serve` and its settings: where it listens, what it refuses, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neuralmesh import Client
from neuralmesh_server.settings import Endpoint, SettingsError
from neuralmesh_server.settings_labor import LaborSettings


def serve(folder, *flags):
    """Start the command on a free port."""
    return subprocess.Popen(
        [sys.executable, "-m", "neuralmesh_server", "labor", "serve", "--data", str(folder), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(["", *sys.path]), "NEURALMESH_LABOR_LISTEN": "127.0.0.1:0"},
    )


def test_the_command_serves_until_a_signal(tmp_path) -> None:
    """It says where it listens, answers, and ends with 0 after SIGTERM; a second one on its folder is refused."""
    process = serve(tmp_path / "data")
    address = process.stdout.readline().removeprefix("listening labor ").strip()
    with Client(labor=address) as client:
        assert list(client.labor.list_jobs()) == []
        assert client.labor.list_workers() == []
        second = serve(tmp_path / "data")
        assert "another labor service uses the data folder" in second.communicate(timeout=60)[1]
        assert second.returncode != 0
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "service_stopped" in log


def test_settings_come_from_the_environment() -> None:
    """Every variable is read, and loopback, port 8005 and no workers are the defaults."""
    plain = LaborSettings.from_env({})
    assert (str(plain.server.listen), plain.data, plain.workers) == ("127.0.0.1:8005", Path("data/labor"), 0)
    assert (plain.http, plain.lease_seconds) == (None, 10.0)
    given = LaborSettings.from_env(
        {
            "NEURALMESH_LABOR_LISTEN": "127.0.0.1:1",
            "NEURALMESH_LABOR_DATA": "/srv/labor",
            "NEURALMESH_LABOR_HTTP": "127.0.0.1:2",
            "NEURALMESH_LABOR_WORKERS": "3",
            "NEURALMESH_LABOR_LEASE_SECONDS": "30",
            "NEURALMESH_REGISTRY": "registry:8003",
            "NEURALMESH_TOKEN": "nmt_x",
        }
    )
    assert (given.server.listen.port, given.data, given.workers) == (1, Path("/srv/labor"), 3)
    assert (given.http, given.lease_seconds) == (Endpoint("127.0.0.1", 2), 30.0)
    assert (str(given.registry), given.token) == ("registry:8003", "nmt_x")
    assert "nmt_x" not in repr(given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NEURALMESH_LABOR_WORKERS", "1000"),
        ("NEURALMESH_LABOR_WORKERS", "many"),
        ("NEURALMESH_LABOR_LEASE_SECONDS", "0.1"),
        ("NEURALMESH_LABOR_KEEP_RESULTS", "long"),
        ("NEURALMESH_LABOR_KEEP_RESULTS", "59s"),
        ("NEURALMESH_LABOR_HTTP", "nowhere"),
        ("NEURALMESH_LABOR_LISTEN", "0.0.0.0:8005"),
    ],
)
def test_wrong_settings_are_named(name, value) -> None:
    """A variable that cannot be used is named in the error."""
    with pytest.raises(SettingsError, match=name if value != "0.0.0.0:8005" else "without TLS"):
        LaborSettings.from_env({name: value})


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("90m", 5400), ("12h", 43_200), ("30d", 2_592_000)])
def test_how_long_results_are_kept(text, seconds) -> None:
    """NEURALMESH_LABOR_KEEP_RESULTS is a duration; without it results are kept for ever."""
    assert LaborSettings.from_env({}).keep_seconds is None
    assert LaborSettings.from_env({"NEURALMESH_LABOR_KEEP_RESULTS": text}).keep_seconds == seconds
