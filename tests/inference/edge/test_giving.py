"""What a node gives to others: what it holds, and what is only on its way to it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest

from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.errors import NotFoundError
from neuralmesh_server.inference.edge import giving
from neuralmesh_server.inference.edge.giving import Giving

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = bytes(range(256)) * 64
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
CHUNK = 4096


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giving, "UNKNOWN_SECONDS", 0.1)
    monkeypatch.setattr(giving, "STILL_SECONDS", 0.2)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path)


async def given_out(giver: Giving, offset: int, into: bytearray) -> None:
    """Collect what is given."""
    async for piece in giver.pieces(DIGEST, offset):
        assert (piece.offset, piece.size) == (offset, len(CONTENT))
        into += piece.data
        offset += len(piece.data)


async def until_has(into: bytearray, length: int) -> None:
    """Return as soon as so many bytes were given."""
    async with asyncio.timeout(10):
        while len(into) < length:  # noqa: ASYNC110 - another task fills it
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("offset", [0, 5000])
async def test_what_is_on_its_way_is_given_as_it_comes(store: ContentStore, offset: int) -> None:
    """Whoever asks while this node fetches waits for each part and has everything when this node has."""
    got = bytearray()
    asked = asyncio.create_task(given_out(Giving(store, lambda _: len(CONTENT)), offset, got))
    await asyncio.sleep(0.03)
    with store.open_upload(DIGEST, len(CONTENT)) as upload:
        for at in range(0, len(CONTENT), CHUNK):
            upload.write(CONTENT[at : at + CHUNK])
            await until_has(got, at + CHUNK - offset)
            assert not asked.done()
        upload.finish()
    await asked
    assert bytes(got) == CONTENT[offset:]


async def test_what_comes_no_more_is_given_up(store: ContentStore) -> None:
    """Two nodes that fetch from one another, or one whose line is cut, keep nobody waiting."""
    got = bytearray()
    with store.open_upload(DIGEST, len(CONTENT)) as upload:
        upload.write(CONTENT[:CHUNK])
        with pytest.raises(NotFoundError):
            await asyncio.wait_for(given_out(Giving(store, lambda _: len(CONTENT)), 0, got), 5)
    assert bytes(got) == CONTENT[:CHUNK]


async def test_what_becomes_known_a_moment_later_is_waited_for(store: ContentStore) -> None:
    """A move reaches the node that asks before the one that is asked."""
    known = {DIGEST: 0}
    got = bytearray()
    asked = asyncio.create_task(given_out(Giving(store, lambda digest: known[digest]), 0, got))
    await asyncio.sleep(0.05)
    known[DIGEST] = len(CONTENT)
    with store.open_upload(DIGEST, len(CONTENT)) as upload:
        upload.write(CONTENT)
        upload.finish()
    await asked
    assert bytes(got) == CONTENT


async def test_what_nobody_knows_is_not_here(store: ContentStore) -> None:
    """Nobody waits long for it."""
    with pytest.raises(NotFoundError):
        await asyncio.wait_for(given_out(Giving(store), 0, bytearray()), 5)
