"""Runs kernel tests at every SIMD level that this machine has."""

from collections.abc import Iterator

import pytest

import liam_core


@pytest.fixture(params=liam_core.capabilities().supported)
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Put each supported SIMD level into use for one run of the test."""
    with liam_core.set_level(request.param):
        yield request.param
