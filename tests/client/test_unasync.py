"""The synchronous client is what the generator makes of the asynchronous one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "unasync.py"


@pytest.fixture(scope="module")
def unasync():
    """Return the generator as a module."""
    spec = importlib.util.spec_from_file_location("unasync", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_client_is_current(unasync):
    """Regenerating the synchronous client changes nothing."""
    assert unasync.differences() == []


def test_tokens_are_replaced_and_texts_are_not(unasync):
    """Keywords and names are replaced in code; strings and comments keep their words."""
    source = (
        "async def f(x: AsyncIterator[int]) -> None:\n"
        "    async with AsyncClient() as c, grpc.aio.insecure_channel(a):  # await here\n"
        '        return [await c.g("async await AsyncClient") async for y in aiter(x)]\n'
    )
    assert unasync.convert(source) == (
        "def f(x: Iterator[int]) -> None:\n"
        "    with Client() as c, grpc.insecure_channel(a):  # await here\n"
        '        return [c.g("async await AsyncClient") for y in iter(x)]\n'
    )


def test_asyncio_is_refused(unasync):
    """A module that uses asyncio directly is refused, since it has no synchronous form."""
    with pytest.raises(ValueError, match=r"line 2.*_offload"):
        unasync.convert("x = 1\nasyncio.sleep(1)\n")
