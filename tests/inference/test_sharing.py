"""What the workers of one port share: artifacts that one of them fetches, and totals that all of them show."""

import asyncio
import errno
import hashlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.inference.holding.artifacts import Artifacts
from neuralmesh_server.inference.holding.records import FileRecord, VersionRecord
from neuralmesh_server.inference.holding.store_claims import Claims
from neuralmesh_server.inference.links import LinkError
from neuralmesh_server.inference.reporting.activity import Activity
from neuralmesh_server.inference.reporting.store_totals import SharedTotals
from neuralmesh_server.inference.reporting.totals import sums

DATA = b"artifact" * 1000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
RECORD = VersionRecord("m", 1, DIGEST, "onnx", (FileRecord("model", len(DATA), DIGEST),), None, len(DATA))


class Registry:
    """Gives the artifact, and counts how often it was asked; may be held up or fail."""

    def __init__(self) -> None:
        self.asked = 0
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.release.set()
        self.fails = False

    async def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        self.asked += 1
        self.entered.set()
        await self.release.wait()
        if self.fails:
            raise LinkError("", "gone", unreachable=True)
        yield DATA[offset:]


def worker(folder: Path, registry: Registry) -> Artifacts:
    """Return the artifacts of one worker; each has objects of its own on the same folder."""
    return Artifacts(ContentStore(folder), Claims(folder / "claims"), registry)  # type: ignore[arg-type]


async def test_one_worker_fetches_and_the_others_find_it(tmp_path: Path) -> None:
    """Workers that need the same artifact at the same time download it once."""
    registry = Registry()
    found = await asyncio.gather(*(worker(tmp_path, registry).files(RECORD) for _ in range(5)))
    assert registry.asked == 1
    assert {paths["model"].read_bytes() for paths in found} == {DATA}


async def test_another_worker_takes_over_when_the_owner_fails(tmp_path: Path) -> None:
    """A failed or cancelled download gives the claim up, and the next one fetches."""
    registry = Registry()
    registry.release.clear()
    registry.fails = True
    first = asyncio.create_task(worker(tmp_path, registry).files(RECORD))
    await registry.entered.wait()
    second = asyncio.create_task(worker(tmp_path, registry).files(RECORD))
    registry.release.set()
    with pytest.raises(LinkError):
        await first
    registry.fails = False
    assert (await second)["model"].read_bytes() == DATA
    assert registry.asked == 2


async def test_a_waiting_worker_can_be_cancelled(tmp_path: Path) -> None:
    """A stop does not have to wait for another worker's download."""
    claims = Claims(tmp_path)
    async with claims.claim(DIGEST):
        waiting = asyncio.create_task(worker_claim(Claims(tmp_path)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await worker_claim(claims)


async def worker_claim(claims: Claims) -> None:
    """Claim the artifact and give it up."""
    async with claims.claim(DIGEST):
        pass


async def test_the_claim_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The system gives up the claim of a process that was killed in the middle of its work."""
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from neuralmesh_server.inference.holding.store_claims import Claims\n"
        "async def main():\n"
        "    async with Claims(Path(sys.argv[1])).claim(sys.argv[2]):\n"
        "        print('held', flush=True); await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), DIGEST]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"held\n"
    waiting = asyncio.create_task(worker_claim(Claims(tmp_path)))
    await asyncio.sleep(0)
    assert not waiting.done()
    owner.kill()
    await asyncio.wait_for(waiting, 10)
    await owner.wait()


def activity(folder: Path, number: int, workers: int = 2) -> tuple[Activity, SharedTotals]:
    """Return the counters of a worker, and where it finds those of the others."""
    shared = SharedTotals(folder, number, workers)
    return Activity(0, memory=shared.block), shared


def test_totals_of_all_workers_are_added(tmp_path: Path) -> None:
    """Sums hold what each worker counted, up to now, version by version."""
    (first, seen_by_first), (second, seen_by_second) = activity(tmp_path, 1), activity(tmp_path, 2)
    digest = "sha256:" + "0" * 64
    for one, rows in ((first, 3), (second, 4)):
        one.version("m", 1, digest).succeeded(rows, 10, 20, 30)
        one.version("m", 1, digest).failed("INTERNAL", 10)
    second.version("n", 2, digest).succeeded(5, 10, 20, 30)
    found = sums([*first, *seen_by_first.activities()])
    assert [(one.model, one.version, one.requests, one.rows, one.failures) for one in found] == [
        ("m", 1, 2, 7, 2),
        ("n", 2, 1, 5, 0),
    ]
    again = sums([*second, *seen_by_second.activities()])
    assert [(one.requests, one.rows, one.input_ns) for one in again] == [(2, 7, 20), (1, 5, 10)]
    first.version("m", 1, digest).succeeded(1, 10, 20, 30)
    assert sums(seen_by_second.activities())[0].requests == 2


def test_totals_of_both_threads_of_a_worker_are_shared(tmp_path: Path) -> None:
    """Siblings see what a worker's front counts as well, each for itself and in the sum."""
    (first, _), (_, seen) = activity(tmp_path, 1), activity(tmp_path, 2)
    counted = first.version("m", 1, "d")
    counted.succeeded(3, 10, 20, 30)
    counted.front_stats.count(4, 10, 20, 30, 40)
    (found,) = seen.activities()
    assert (found.requests, found.rows, found.latency.count, found.output_ns) == (2, 7, 2, counted.output_ns)
    assert (found.stats.block.rows, found.front_stats.block.rows) == (3, 4)


def test_a_worker_that_begins_anew_begins_at_nothing(tmp_path: Path) -> None:
    """A replaced worker's totals are those of its new process, as a single node's are."""
    first, _ = activity(tmp_path, 1)
    first.version("m", 1, "d").succeeded(3, 10, 20, 30)
    _, seen = activity(tmp_path, 2)
    assert [one.requests for one in seen.activities()] == [1]
    activity(tmp_path, 1)
    assert seen.activities() == []


def test_workers_of_an_earlier_number_do_not_count(tmp_path: Path) -> None:
    """What a third worker left behind is not added where there are two now."""
    third, _ = activity(tmp_path, 3, workers=3)
    third.version("m", 1, "d").succeeded(3, 10, 20, 30)
    _, seen = activity(tmp_path, 1)
    assert seen.activities() == []


def test_a_full_disk_leaves_totals_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file's bytes cannot all be had, a worker counts for itself, leaves no file, and goes on."""
    first, _ = activity(tmp_path, 1)
    _, seen = activity(tmp_path, 2)

    def full(_file: int, _offset: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    first.version("m", 1, "d").succeeded(3, 10, 20, 30)
    assert [one.rows for one in first] == [3]
    assert seen.activities() == []
    assert list((tmp_path / "1").iterdir()) == []


def test_totals_have_their_bytes_before_they_are_counted(tmp_path: Path) -> None:
    """No part of a totals file is a hole, which a full disk would turn into the death of its worker."""
    first, _ = activity(tmp_path, 1)
    first.version("m", 1, "d")
    (file,) = (tmp_path / "1").iterdir()
    found = file.stat()
    assert found.st_blocks * 512 >= found.st_size
