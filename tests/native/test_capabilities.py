"""Levels: what is reported, what is forced by the environment, and what is refused."""

import os
import subprocess
import sys

import pytest

import liam_core
from liam_core import capabilities, set_level

REPORT = "import liam_core; c = liam_core.capabilities(); print(c.level, c.forced, c.self_test_digest)"


def start(level):
    """Import the package in a new process with LIAM_SIMD set to `level`, or unset."""
    environment = {key: value for key, value in os.environ.items() if key != "LIAM_SIMD"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    if level is not None:
        environment["LIAM_SIMD"] = level
    return subprocess.run([sys.executable, "-c", REPORT], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("forced", capabilities().supported)
def test_the_environment_forces_a_level(forced):
    """LIAM_SIMD puts a level into use, which computes the same digest as every other."""
    result = start(forced)
    assert result.stdout.split() == [forced, "True", capabilities().self_test_digest], result.stderr


@pytest.mark.parametrize("unset", [None, ""])
def test_without_the_environment_the_best_level_is_used(unset):
    """Unset and empty mean the best level."""
    assert start(unset).stdout.split()[:2] == [capabilities().supported[-1], "False"]


@pytest.mark.parametrize("unknown", ["sse2", "AVX2", "avx512 ", "2"])
def test_an_unknown_level_fails_the_import(unknown):
    """A value that names no level is an error that quotes it and lists the levels, never ignored."""
    result = start(unknown)
    assert result.returncode == 1
    levels = ", ".join(capabilities().supported)
    assert f"KernelError: LIAM_SIMD={unknown!r}: this machine runs the SIMD levels {levels}" in result.stderr


def test_levels_can_be_put_into_use(level):
    """Within the context the level is in use, and its self-test passes."""
    inside = capabilities()
    assert inside.level == level
    assert inside.level in inside.supported


def test_the_level_returns_after_its_context():
    """The level in use before is in use again, also after an exception."""
    before = capabilities()
    with pytest.raises(KeyError), set_level("scalar"):
        raise KeyError
    assert capabilities() == before


def test_an_unknown_level_is_refused():
    """set_level refuses what this machine does not run."""
    with pytest.raises(ValueError, match="level: this machine has no SIMD level 'sse9'"), set_level("sse9"):
        pass


def test_all_exports_exist():
    """Every name that the package promises is there, in order."""
    assert list(liam_core.__all__) == sorted(liam_core.__all__)
    for name in liam_core.__all__:
        assert getattr(liam_core, name) is not None
