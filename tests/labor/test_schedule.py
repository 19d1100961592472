"""The placement of shards: bounds, ties, movement, and the board that follows it."""

from __future__ import annotations

import hashlib
import random
from itertools import pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st

from neuralmesh_server.labor import schedule
from neuralmesh_server.labor.board import Board
from neuralmesh_server.labor.schedule import Epoch

COSTS = st.lists(st.integers(1, 50), min_size=1, max_size=9)
NAMES = st.lists(st.sampled_from([f"w{number}/0" for number in range(6)]), unique=True, min_size=1).map(sorted)


def actions_of(count: int) -> list[str]:
    """Return digests of so many actions."""
    return ["sha256:" + hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]


def least(costs, slots) -> int:
    """Return the least possible load of the most loaded slot, by trying everything."""
    loads = (
        [sum(cost for cost, slot in zip(costs, way, strict=True) if slot == number) for number in range(slots)]
        for way in product(range(slots), repeat=len(costs))
    )
    return min(max(load) for load in loads)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=7), st.integers(1, 3))
def test_longest_first_is_within_grahams_bound(costs, slots) -> None:
    """The most loaded slot has at most 4/3 - 1/(3m) of the least possible load."""
    given = schedule.share(schedule.longest_first(costs, actions_of(len(costs))), costs, slots)
    loads = [sum(costs[shard] for shard, slot in given.items() if slot == number) for number in range(slots)]
    assert 3 * slots * max(loads) <= (4 * slots - 1) * least(costs, slots)


@given(COSTS, st.lists(NAMES, min_size=1, max_size=5), st.data())
def test_only_orphans_move(costs, members, data) -> None:
    """When slots change, a shard stays where it is unless its slot is gone, and the same log gives the same again."""
    actions = actions_of(len(costs))
    pending = list(range(len(costs)))
    log = []
    for slots in members:
        log.append((tuple(slots), tuple(pending)))
        pending = sorted(data.draw(st.sets(st.sampled_from(pending), min_size=1)))
    epochs = schedule.replay(costs, actions, log)
    for before, after in pairwise(epochs):
        place = dict(zip(before.pending, (before.slots[slot] for slot in before.assigned), strict=True))
        for shard, slot in zip(after.pending, after.assigned, strict=True):
            if place[shard] in after.slots:
                assert after.slots[slot] == place[shard]
            else:
                assert slot == schedule.rendezvous(actions[shard], after.slots)
    assert schedule.replay(costs, actions, log) == epochs


def test_ties_go_by_digest_and_then_by_number() -> None:
    """Shards of one cost are ordered by the digests of their actions, and equal actions by their numbers."""
    actions = ["sha256:bb", "sha256:aa", "sha256:aa", "sha256:cc"]
    assert schedule.longest_first([5, 5, 5, 9], actions) == [3, 1, 2, 0]


@given(COSTS, NAMES, st.integers(0, 2**32))
def test_a_board_hands_out_everything_once(costs, slots, seed) -> None:
    """Whoever asks, every shard is handed out once, and nobody goes away empty while one waits."""
    chance = random.Random(seed)
    board = Board(costs, actions_of(len(costs)))
    for shard in range(len(costs)):
        board.put(shard)
    board.enter(slots, range(len(costs)))
    taken = []
    while board.waiting:
        if chance.random() < 0.3:
            live = sorted(chance.sample([f"w{number}/0" for number in range(6)], chance.randint(1, 6)))
            board.enter(live, sorted(set(range(len(costs))) - set(taken)))
        shard = board.look([chance.choice(["w0/0", "w1/0", "stranger/0"])])
        assert shard is not None
        assert shard not in taken
        board.remove(shard)
        if chance.random() < 0.25:
            board.put(shard)
        else:
            taken.append(shard)
    assert sorted(taken) == list(range(len(costs)))
    assert board.look(slots) is None


def test_an_idle_worker_takes_the_largest_shard_of_the_most_loaded_slot() -> None:
    """A worker takes its own slots' shards first, and without any the largest of the slot with the most left."""
    board = Board([9, 8, 7, 1], actions_of(4))
    for shard in range(4):
        board.put(shard)
    board.enter(["a/0", "b/0"], range(4))
    assert board.look(["a/0"]) == 0
    assert board.look(["b/0"]) == 1
    assert board.look(["c/0"]) == 1


def test_a_shard_that_lost_its_result_before_a_restart_waits_again() -> None:
    """An epoch that was recorded while a shard had a result says nothing of it; it is given a slot all the same."""
    actions = actions_of(3)
    board = Board([9, 8, 7], actions)
    for shard in range(3):
        board.put(shard)
    board.restore(Epoch(1, ("a/0", "b/0"), (1,), (0,)))
    taken = set()
    while (shard := board.look(["a/0"])) is not None:
        board.remove(shard)
        taken.add(shard)
    assert taken == {0, 1, 2}
