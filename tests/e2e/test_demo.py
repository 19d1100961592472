"""The demo, from an installed suite to its last line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PREDICTION_ID = re.compile(r"prediction +nm1\.local\.[A-Za-z0-9_-]{64}\n")


@pytest.mark.timeout(300)
def test_demo_tells_its_story(tmp_path: Path) -> None:
    """A bad version is seen by its live accuracy and rolled back, and one of its answers is traced to its bytes."""
    run = subprocess.run(
        [sys.executable, "-m", "neuralmesh_server.demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    accuracies = [float(text) for text in re.findall(r"live accuracy ([0-9.]+) over 599", run.stdout)]
    assert len(accuracies) == 2
    assert accuracies[0] >= 0.95
    assert accuracies[1] >= 0.90
    assert "version 3 is worse" in run.stdout
    assert "production is version 2 again" in run.stdout
    assert PREDICTION_ID.search(run.stdout)
    assert run.stdout.count("(fetched and hashed now)") == 1
    assert list(tmp_path.iterdir()) == [], "the demo left something behind"
