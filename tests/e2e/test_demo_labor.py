"""The demo of the labor array, from an installed suite to its last line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(400)
def test_one_job_gives_the_same_bytes_four_times(tmp_path: Path) -> None:
    """Every step holds: one output digest over all runs, also where a worker was killed, and a folder that holds."""
    command = [sys.executable, "-m", "neuralmesh_server.demo.labor"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=380, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert list(tmp_path.iterdir()) == [], "the demo left something behind"
    outputs = re.findall(r"^  output (sha256:[0-9a-f]{64})$", run.stdout, re.MULTILINE)
    assert len(outputs) == 4
    assert len(set(outputs)) == 1
    assert "all output digests are equal" in run.stdout
    assert "the data is what the plan says" in run.stdout
