"""The demos of indexes and transforms, from an installed suite to their last line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


def told(name: str, folder: Path) -> str:
    """Run a demo in an empty folder; returns what it printed."""
    command = [sys.executable, "-m", f"neuralmesh_server.demo.{name}"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert list(folder.iterdir()) == [], "the demo left something behind"
    return run.stdout


@pytest.mark.timeout(300)
def test_images_are_retrieved(tmp_path: Path) -> None:
    """Neighbours by bits say what most digits are, neighbours by exact cosine more of them."""
    shares = [float(text) for text in re.findall(r"is right for ([0-9.]+)%", told("retrieval", tmp_path))]
    assert len(shares) == 2
    assert 85 <= shares[0] < shares[1]
    assert shares[1] >= 96


@pytest.mark.timeout(300)
def test_near_duplicates_are_found(tmp_path: Path) -> None:
    """Noisy copies are found under the ids of their originals, and few new images are taken for copies."""
    said = told("near_duplicates", tmp_path)
    assert "scale, walsh_hadamard, rotation, threshold" in said
    found, strangers = (float(text) for text in re.findall(r"([0-9.]+)% (?:are found|look like)", said))
    assert found >= 99
    assert strangers <= 5
