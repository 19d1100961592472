"""Following through faults, with a registry link that a test scripts."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping

import pytest

from neuralmesh_server.inference.holding.follower import Follower, Keeper, NodeNameTakenError
from neuralmesh_server.inference.holding.records import ModelRecord
from neuralmesh_server.inference.holding.replica import Replica, SnapshotPart, Step
from neuralmesh_server.inference.links import LinkError
from tests.inference.conftest import PATIENCE

EMPTY = Replica().digest()


class Script:
    """A registry that answers each watch with the next list of steps and errors; a watch without one hangs."""

    def __init__(self, *watches: list[Step | LinkError], register: list[LinkError | None] | None = None) -> None:
        self.watches = list(watches)
        self.asked: list[tuple[int, bytes]] = []
        self.register = register or []
        self.keys: list[bytes] = []
        self.exhausted = asyncio.Event()

    async def watch(self, from_revision: int, state_digest: bytes) -> AsyncIterator[Step]:
        """Play the next list."""
        self.asked.append((from_revision, state_digest))
        if not self.watches:
            self.exhausted.set()
            await asyncio.Event().wait()
        for item in self.watches.pop(0):
            if isinstance(item, LinkError):
                raise item
            yield item

    async def register_node(self, key: bytes) -> None:
        """Play the next answer."""
        self.keys.append(key)
        answer = self.register.pop(0) if self.register else None
        if answer is not None:
            raise answer

    def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """Not used by a follower."""
        raise NotImplementedError


LOST = LinkError("PEER_UNREACHABLE", "gone", unreachable=True)


def snapshot(revision: int, *models: str) -> Step:
    """Return a whole snapshot."""
    records = tuple(ModelRecord(name, index + 1) for index, name in enumerate(models))
    return Step(revision, b"", part=SnapshotPart(records, (), (), first=True, last=True))


async def follow(script: Script, replica: Replica | None = None) -> tuple[Replica, int]:
    """Follow until the script is played; returns the replica and how often it was said to have changed."""
    replica = replica or Replica()
    changes = 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    follower = Follower(
        registry=script,
        replica=replica,
        node="n",
        key=b"k" * 32,
        changed=changed,
        connected=lambda: None,
        longest_pause=0.01,
    )
    task = asyncio.create_task(follower.run())
    waiting = asyncio.create_task(script.exhausted.wait())
    done, _ = await asyncio.wait([task, waiting], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task in done:
        task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return replica, changes


async def test_a_cut_stream_goes_on_where_it_stopped() -> None:
    """After a cut the next watch starts at the applied revision and names the digest that is held."""
    script = Script([snapshot(3, "m"), LOST], [LOST], [Step(4, b"", changes=((4, ModelRecord("n", 2)),))])
    replica, changes = await follow(script)
    assert set(replica.models) == {"m", "n"}
    assert changes == 2
    assert script.asked[0] == (0, b"")
    assert [revision for revision, _ in script.asked] == [0, 3, 3, 4]
    assert script.asked[-1][1] == replica.digest()


async def test_a_wrong_digest_leads_to_a_snapshot() -> None:
    """A follower that does not hold what it should asks for everything again."""
    script = Script([snapshot(3, "m"), Step(4, bytes(32), changes=((4, None),))], [snapshot(9, "x")])
    replica, _ = await follow(script)
    assert [revision for revision, _ in script.asked] == [0, 0, 9]
    assert (set(replica.models), replica.revision) == ({"x"}, 9)


async def test_an_outdated_replica_asks_for_everything() -> None:
    """What an earlier release kept is followed by a snapshot, once."""
    old = Replica()
    old.apply(snapshot(3, "m"))
    old.outdated = True
    script = Script([snapshot(3, "m"), LOST], [Step(4, b"", changes=((4, ModelRecord("n", 2)),))])
    replica, _ = await follow(script, old)
    assert [revision for revision, _ in script.asked] == [0, 3, 4]
    assert (set(replica.models), replica.outdated) == ({"m", "n"}, False)


async def test_an_empty_registry_is_known_and_not_unknown() -> None:
    """The snapshot of a registry without models counts as the first change."""
    replica, changes = await follow(Script([Step(0, EMPTY, part=SnapshotPart((), (), (), first=True, last=True))]))
    assert (replica.revision, changes) == (0, 1)


async def test_the_key_is_registered_until_it_is_known() -> None:
    """A refusal that may pass is tried again with the next step, and following goes on meanwhile."""
    full = LinkError("STORAGE_FULL", "full", unreachable=False)
    script = Script([snapshot(3, "m"), Step(3, b"")], register=[full, full, None])
    replica, _ = await follow(script)
    assert len(script.keys) == 4  # two refusals, one success, and one more for the second stream
    assert replica.revision == 3


async def test_a_name_that_is_taken_ends_the_follower() -> None:
    """Another key for the node's name stops the node, with the setting in the message."""
    taken = LinkError("NODE_KEY_CONFLICT", "taken", unreachable=False)
    with pytest.raises(NodeNameTakenError, match="NEURALMESH_NODE"):
        await follow(Script(register=[taken]))


class FullOnce:
    """A disk that is full at the first write."""

    def __init__(self) -> None:
        self.attempts = 0
        self.kept: list[bytes] = []
        self.done = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def encode(self, replica: Replica, effective: Mapping[tuple[str, str], int]) -> bytes:
        """Return the revision."""
        del effective
        return b"%d" % replica.revision

    def save(self, content: bytes) -> None:
        """Fail once, then keep."""
        self.attempts += 1
        if self.attempts == 1:
            raise OSError(errno.ENOSPC, "no space left")
        self.kept.append(content)
        self._loop.call_soon_threadsafe(self.done.set)


async def test_a_replica_that_was_not_kept_is_kept_later() -> None:
    """A write that fails is tried again without another change of the registry, and then no more."""
    store = FullOnce()
    replica = Replica()
    keeper = Keeper(store, replica, dict, pause=0.01)
    task = asyncio.create_task(keeper.run())
    keeper.mark()
    await asyncio.wait_for(store.done.wait(), PATIENCE)
    assert (store.attempts, store.kept) == (2, [b"0"])
    assert await keeper.keep(), "nothing is new"
    assert store.attempts == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
