"""What computes versions, by name."""

import os
import subprocess
import sys

import pytest

from liam_core import capabilities
from neuralmesh_server.errors import NotSupportedError
from neuralmesh_server.inference.backends import liam, liam_index, liam_transform, remote
from neuralmesh_server.numerics import EXACT, LIAM_KINDS, ONNX, PINNED, known_numerics, numerics

SAY = "import json, sys; from neuralmesh_server.numerics import known_numerics; json.dump(known_numerics(), sys.stdout)"


def said(**environment: str) -> str:
    """Return what a fresh process says of its numerics."""
    return subprocess.run(
        [sys.executable, "-c", SAY],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_no_simd_level_changes_what_versions_are_computed_by() -> None:
    """Processes that are forced to different levels name the same numerics, so that they share results."""
    levels = capabilities().supported
    assert len({said(LIAM_SIMD=level) for level in levels}) == 1
    assert levels[0] == "scalar"


def test_levels_follow_the_kind() -> None:
    """LIAM is exact; onnxruntime is pinned to its version and to the processor; the two never share an id."""
    assert {numerics(kind).level for kind in LIAM_KINDS} == {EXACT}
    assert numerics(ONNX).level == PINNED
    assert "onnxruntime" in numerics(ONNX).id
    assert numerics(ONNX).id not in {numerics(kind).id for kind in LIAM_KINDS}
    assert set(known_numerics()) == {*LIAM_KINDS, ONNX}


def test_kinds_are_those_of_the_backends() -> None:
    """Every kind of LIAM that a node serves is known."""
    assert set(LIAM_KINDS) == {liam.KIND, liam_index.KIND, liam_transform.KIND}


def test_what_other_servers_run_is_refused() -> None:
    """A job cannot promise what it does not compute."""
    with pytest.raises(NotSupportedError, match="'remote'") as caught:
        numerics(remote.KIND)
    assert caught.value.reason == "NOT_SUPPORTED"


def test_naming_numerics_loads_no_runtime() -> None:
    """Knowing the id of onnxruntime does not import it."""
    code = "import sys; from neuralmesh_server.numerics import known_numerics; known_numerics(); print('onnxruntime' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
