"""The demo of the mesh, from an installed suite to its last line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(300)
def test_edges_serve_without_the_line(tmp_path: Path) -> None:
    """Every step holds; no request failed, none was answered wrongly, and both edges answered with both versions."""
    command = [sys.executable, "-m", "neuralmesh_server.demo.mesh"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert list(tmp_path.iterdir()) == [], "the demo left something behind"
    figures = dict(re.findall(r"│ ([^│]+?) +│ +([^│]+?) │", run.stdout))
    assert re.fullmatch(r"0 of [0-9,]+", figures["requests that failed"])
    assert figures["answers that are not what their version says"] == "0"
    answered = [name for name in figures if name.startswith("answered by")]
    assert len(answered) == 4
    assert "set aside on site" in run.stdout
