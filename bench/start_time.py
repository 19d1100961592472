"""How long `neuralmesh up` takes from being typed until all three services answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from neuralmesh import Client, exceptions

if TYPE_CHECKING:
    from pathlib import Path

GIVE_UP_SECONDS = 30.0


def first_answer_seconds(folder: Path) -> float:
    """Start the suite in an empty folder; returns seconds until each service has answered a real request.

    Raises:
        RuntimeError: It did not answer, or did not stop in order.
    """
    folder.mkdir(parents=True)
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "neuralmesh_server", "up", "--data", str(folder), "--ephemeral"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    )
    try:
        found = _addresses(process)
        with Client(registry=found["registry"], inference=found["inference"], metrics=found["metrics"]) as client:
            while not _answers(client):
                if time.perf_counter() - started > GIVE_UP_SECONDS:
                    raise RuntimeError(f"no answer in {GIVE_UP_SECONDS:.0f} s")
                time.sleep(0.005)
            seconds = time.perf_counter() - started
        process.send_signal(signal.SIGINT)
        if process.wait(GIVE_UP_SECONDS) not in {0, 130}:
            raise RuntimeError(f"`neuralmesh up` ended with status {process.returncode}")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(GIVE_UP_SECONDS)
    return seconds


def _addresses(process: subprocess.Popen[str]) -> dict[str, str]:
    """Read the addresses from what `up` prints."""
    found: dict[str, str] = {}
    assert process.stdout is not None
    while len(found) < 3:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"`neuralmesh up` printed only {found}")
        words = line.split()
        if len(words) == 2 and words[0] in {"registry", "inference", "metrics"}:
            found[words[0]] = words[1]
    return found


def _answers(client: Client) -> bool:
    try:
        list(client.registry.list_models())
        client.metrics.get_operations()
        return client.inference.server_ready()
    except exceptions.UnavailableError:
        return False
