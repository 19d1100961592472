"""Room for artifacts: what goes, what never goes, and what is refused."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.errors import ResourceExhaustedError
from neuralmesh_server.inference.edge.cache import MARGIN_BYTES, Cache, Held, Inventory
from neuralmesh_server.inference.edge.store_cache import CacheFolder
from neuralmesh_server.inference.holding.records import FileRecord
from tests.inference import models
from tests.inference.conftest import when_ready
from tests.inference.edge.conftest import Site, answer
from tests.inference.edge.fakes import Outcome

PLENTY = 1 << 40


class Disk:
    """Files by kind, and a disk of a size."""

    def __init__(self, complete: dict[str, int], *, free: int = PLENTY, partial: dict[str, int] | None = None) -> None:
        self.complete = {digest: Held(size, place) for place, (digest, size) in enumerate(complete.items())}
        self.partial = {digest: Held(size, 0) for digest, size in (partial or {}).items()}
        self.damaged: dict[str, Held] = {}
        self.free = free

    def inventory(self) -> Inventory:
        """Return what is there."""
        return Inventory(dict(self.complete), dict(self.partial), dict(self.damaged))

    def touch(self, digest: str) -> None:
        """Make an artifact the last that was used."""
        if digest in self.complete:
            last = max(held.used for held in self.complete.values()) + 1
            self.complete[digest] = Held(self.complete[digest].size, last)

    def remove(self, digest: str) -> None:
        """Remove a complete artifact."""
        self.free += self.complete.pop(digest).size

    def discard(self, digest: str) -> None:
        """Remove a partial one."""
        self.free += self.partial.pop(digest).size

    def clear(self, digest: str) -> None:
        """Remove a damaged one."""
        self.free += self.damaged.pop(digest).size

    def free_bytes(self) -> int:
        """Return the free space."""
        return self.free


def wanted(digest: str, size: int) -> FileRecord:
    """Return a file that is wanted."""
    return FileRecord("model.onnx", size, digest)


names = st.sampled_from("abcdefgh")


@given(
    complete=st.dictionaries(names, st.integers(1, 50)),
    partial=st.dictionaries(st.sampled_from("pqr"), st.integers(1, 50)),
    protected=st.sets(names),
    missing=st.dictionaries(st.sampled_from("abcxyzp"), st.integers(1, 80), min_size=1, max_size=3),
    limit=st.integers(0, 400),
    free=st.integers(0, 400),
)
async def test_what_is_protected_stays_and_what_fits_fits(  # noqa: PLR0917
    complete: dict[str, int],
    partial: dict[str, int],
    protected: set[str],
    missing: dict[str, int],
    limit: int,
    free: int,
) -> None:
    """Nothing protected or wanted goes; after success the bytes fit budget and disk; refused is only what cannot fit."""
    partial = {digest: min(size, missing.get(digest, size)) for digest, size in partial.items()}
    disk = Disk(complete, free=free + MARGIN_BYTES, partial=partial)
    before = disk.inventory()
    cache = Cache(disk, limit, lambda: protected)
    lacking = sum(size - partial.get(digest, 0) for digest, size in missing.items() if digest not in complete)
    stays = {digest for digest in complete if digest in protected or digest in missing}
    least = sum(complete[digest] for digest in stays) + sum(
        size for digest, size in partial.items() if digest in missing
    )
    gives = before.total - least
    possible = not lacking or (least + lacking <= limit and lacking <= free + gives)
    with nullcontext() if possible else pytest.raises(ResourceExhaustedError, match="are missing"):
        async with cache.hold([wanted(digest, size) for digest, size in missing.items()]):
            found = disk.inventory()
            assert found.total + lacking <= limit or not lacking
            assert disk.free >= lacking + MARGIN_BYTES or not lacking
    assert stays <= set(disk.complete)
    gone = [held.used for digest, held in before.complete.items() if digest not in disk.complete]
    kept = [held.used for digest, held in before.complete.items() if digest in disk.complete and digest not in stays]
    assert not gone or not kept or max(gone) < min(kept), "the least recently used go first"


async def test_what_nobody_needs_goes_before_what_was_used() -> None:
    """Damaged and partial artifacts go first."""
    disk = Disk({"a": 10}, partial={"p": 10})
    disk.damaged = {"d": Held(10, 0)}
    cache = Cache(disk, 40, set)
    async with cache.hold([wanted("x", 25)]):
        assert (set(disk.complete), set(disk.partial), set(disk.damaged)) == ({"a"}, set(), set())


def test_damaged_bytes_go_without_those_that_come_in_their_place(tmp_path: Path) -> None:
    """Room is made while a damaged artifact is fetched again, and its download goes on."""
    store, content = ContentStore(tmp_path), b"what was damaged"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    damaged = tmp_path / "damaged" / digest.removeprefix("sha256:")
    damaged.write_bytes(b"something else")
    with store.open_upload(digest, len(content)) as upload:
        upload.write(content[:5])
        Cache(CacheFolder(tmp_path), 0, set)._make(frozenset(), {digest: len(content)}, strict=False)
        upload.write(content[5:])
        upload.finish()
    assert store.path(digest).read_bytes() == content
    assert not damaged.exists()


async def test_what_is_being_fetched_stays() -> None:
    """A second version makes no room at the cost of the first, and counts what the first still lacks."""
    disk = Disk({"old": 30})
    cache = Cache(disk, 100, set)
    async with cache.hold([wanted("x", 50)]):
        with pytest.raises(ResourceExhaustedError):
            async with cache.hold([wanted("y", 60)]):
                raise AssertionError
        assert not disk.complete
        disk.complete["x"] = Held(50, 9)
        async with cache.hold([wanted("y", 50)]):
            assert "x" in disk.complete


async def test_a_smaller_budget_is_kept_after_a_restart() -> None:
    """What is over goes at the start, the protected excepted, and that is no error."""
    disk = Disk({"a": 30, "b": 30, "c": 30})
    cache = Cache(disk, 40, lambda: {"a", "b"})
    await cache.tidy()
    assert set(disk.complete) == {"a", "b"}
    assert cache.complete_bytes == 60


def test_uses_are_ordered_whatever_the_clock_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set back years does not make the newest use the oldest."""
    store, contents = ContentStore(tmp_path), [b"one", b"two", b"three"]
    digests = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents]
    for digest, content in zip(digests, contents, strict=True):
        with store.open_upload(digest, len(content)) as upload:
            upload.write(content)
            upload.finish()
    clock = iter([10**18, 10**18 + 5, 10**17, 10**17])
    monkeypatch.setattr("time.time_ns", lambda: next(clock))
    folder = CacheFolder(tmp_path)
    folder._last = 0
    for digest in digests:
        folder.touch(digest)
    found = folder.inventory().complete
    assert sorted(found, key=lambda digest: found[digest].used) == digests
    assert {held.size for held in found.values()} == {3, 5}
    folder.remove(digests[0])
    folder.touch(digests[0])
    assert not store.has(digests[0])


async def test_old_versions_make_room_and_rollback_still_works_offline(site: Site) -> None:
    """With room for three, the fourth promotion evicts the first; the one before is there with the line cut."""
    node = await site.start()
    await site.registry.applied()
    size = len(models.digits_onnx(1))
    node._edge.cache.limit_bytes = int(size * 3.5)
    digests = [site.registry.digest_of("digits", 1)]
    for seed in (2, 3, 4):
        number = site.registry.push("digits", models.digits_onnx(seed))
        digests.append(site.registry.digest_of("digits", number))
        await site.registry.promote("digits", number)
        await site.registry.applied()
    store = ContentStore(site.folder / "edge-1" / "artifacts")
    await when_ready(node, "digits", 3, 4)
    assert [store.has(digest) for digest in digests] == [False, True, True, True]
    await site.registry.stop()
    client = site.client(node)
    await client.edge.override_alias("digits")
    assert (await answer(client)).version == 3
    figures = (await client.edge.get_edge_status()).figures
    assert figures.cache_bytes <= figures.cache_limit_bytes
    assert figures.fetched_registry_bytes == sum(len(models.digits_onnx(seed)) for seed in (1, 2, 3, 4))


async def test_a_full_disk_is_said_and_the_old_version_answers(site: Site) -> None:
    """Free space is looked at before a byte is fetched; when there is room the node goes on by itself."""
    node = await site.start()
    await site.registry.applied()
    cache = node._edge.cache
    cache._store._free = lambda _: MARGIN_BYTES
    number = site.registry.push("digits", models.digits_onnx(2))
    await site.registry.promote("digits", number)
    full = await site.registry.reported(lambda one: "are free on the disk" in one.reason)
    assert full.outcome == Outcome.OUTCOME_PENDING
    assert site.registry.digest_of("digits", number) not in site.registry.served
    assert (await answer(site.client(node))).version == 1
    cache._store._free = lambda _: PLENTY
    node._loader.retry()
    await site.registry.applied()
    assert (await answer(site.client(node))).version == 2
