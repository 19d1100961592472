"""Outputs in the content store: what a crash left, two writers of one digest, and what is damaged."""

from __future__ import annotations

import asyncio
import threading

import pytest

from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.errors import DataLossError, FailedPreconditionError, NotFoundError, UnavailableError
from neuralmesh_server.labor.shelf import Shelf
from tests.labor.known_versions import sha

DATA = bytes(range(256)) * 20_000  # several pieces


@pytest.fixture
def content(tmp_path):
    """An empty content store."""
    return ContentStore(tmp_path / "content")


@pytest.fixture
def shelf(content):
    """A shelf over it."""
    made = Shelf(content)
    yield made
    made.close()


async def pieces(*parts):
    """Yield parts."""
    for part in parts:
        yield part


@pytest.mark.parametrize("left", ["the beginning", "all of it", "something else", "more than there is"])
async def test_what_is_left_of_an_upload_is_in_nobodys_way(shelf, content, tmp_path, left: str) -> None:
    """Whatever a crash or a worker that lies left under a digest, the bytes of the digest are taken at once."""
    for number in range(2):
        data = DATA + bytes([number])
        bytes_left = {
            "the beginning": data[:1_500_000],
            "all of it": data,
            "something else": b"something else",
            "more than there is": data + b"and more",
        }[left]
        with content.open_upload(sha(data), len(bytes_left)) as upload:
            upload.write(bytes_left)
        if number:
            path = tmp_path / "output"
            path.write_bytes(data)
            await shelf.put_file(sha(data), path)
        else:
            assert await shelf.put(data) == sha(data)
        assert await shelf.get(sha(data)) == data
        assert b"".join([piece async for piece in shelf.read(sha(data), 7)]) == data[7:]
        assert content.committed(sha(data)) == 0


async def test_a_worker_that_stops_in_the_middle_holds_nobody_up(content) -> None:
    """An upload without end, as of a machine that lost its line, is cut; whoever brings the same bytes stores them."""
    shelf = Shelf(content, piece_seconds=0.05)

    async def stuck():
        yield DATA[:100]
        await asyncio.Event().wait()

    first = asyncio.create_task(shelf.put_pieces(sha(DATA), len(DATA), stuck()))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await shelf.put_pieces(sha(DATA), len(DATA), pieces(DATA))
    with pytest.raises(UnavailableError, match="no further bytes"):
        await first
    assert await shelf.get(sha(DATA)) == DATA
    shelf.close()


async def test_two_writers_of_one_digest_take_turns(shelf, tmp_path) -> None:
    """Workers that bring the same output at once do not get into each other's way."""
    path = tmp_path / "output"
    path.write_bytes(DATA)
    await asyncio.gather(
        shelf.put(DATA),
        shelf.put_file(sha(DATA), path),
        shelf.put_pieces(sha(DATA), len(DATA), pieces(DATA[:100], DATA[100:])),
    )
    assert await shelf.get(sha(DATA)) == DATA


async def test_what_is_not_the_digest_is_refused(shelf, tmp_path) -> None:
    """Other bytes than those of the digest are not stored."""
    path = tmp_path / "output"
    path.write_bytes(b"other")
    with pytest.raises(FailedPreconditionError):
        await shelf.put_file(sha(DATA), path)
    with pytest.raises(FailedPreconditionError):
        await shelf.put_pieces(sha(DATA), len(DATA), pieces(DATA[:-1]))
    with pytest.raises(NotFoundError):
        await shelf.get(sha(DATA))


async def test_damage_is_found_by_a_reader(shelf, content) -> None:
    """An output whose bytes have changed is not given out, and is missing from then on."""
    await shelf.put(DATA)
    with content.path(sha(DATA)).open("r+b") as file:
        file.write(b"x")
    with pytest.raises(DataLossError):
        await shelf.get(sha(DATA))
    assert await shelf.all_there([sha(DATA)]) == set()


@pytest.mark.parametrize("step", ["open_upload", "write", "close"])
async def test_a_call_that_is_cancelled_at_any_step_blocks_nobody(tmp_path, step: str) -> None:
    """A worker that is killed while its bytes come in leaves no upload open: the next one stores them."""
    reached, go_on = threading.Event(), threading.Event()

    class Slow(ContentStore):
        def open_upload(self, digest, size):
            if step == "open_upload":
                hold()
            upload = super().open_upload(digest, size)
            if step != "open_upload":
                setattr(upload, step, held(getattr(upload, step)))
            return upload

    def hold() -> None:
        if not reached.is_set():
            reached.set()
            assert go_on.wait(30)

    def held(work):
        def late(*arguments):
            hold()
            return work(*arguments)

        return late

    shelf = Shelf(Slow(tmp_path / "content"))
    first = asyncio.create_task(shelf.put_pieces(sha(DATA), len(DATA), pieces(DATA[:1_000_000], DATA[1_000_000:])))
    await asyncio.to_thread(reached.wait, 30)
    first.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    await shelf.put_pieces(sha(DATA), len(DATA), pieces(DATA))
    assert await shelf.get(sha(DATA)) == DATA
    shelf.close()
