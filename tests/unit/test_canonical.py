"""Canonical bytes and the state digest."""

import hashlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server import canonical, state_digest
from neuralmesh_server.state_digest import StateDigest

KEYS = st.text(st.characters(codec="ascii"), max_size=8)
FACTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(FACTS)
def test_canonical_bytes_read_back_as_the_fact(fact: canonical.Fact) -> None:
    """An ordinary JSON reader gets the fact back."""
    assert json.loads(canonical.encode(fact)) == fact


@given(st.dictionaries(KEYS, st.integers(0, 9), min_size=2))
def test_order_of_insertion_does_not_matter(fact: dict[str, int]) -> None:
    """The same fact has the same bytes however it was put together."""
    items = list(fact.items())
    random.Random(0).shuffle(items)
    assert canonical.encode(dict(items)) == canonical.encode(fact)


def test_known_bytes() -> None:
    """The form is fixed for ever."""
    fact: canonical.Fact = {"b": [1, True, None], "a": "ü\n\u2028", "A": {}}
    assert canonical.encode(fact) == '{"A":{},"a":"ü\\n\u2028","b":[1,true,null]}'.encode()
    assert canonical.digest({}) == "sha256:" + hashlib.sha256(b"{}").hexdigest()
    assert canonical.leaf_hash(b"x") == hashlib.sha256(b"\x00x").digest()


@pytest.mark.parametrize("fact", [1.5, {"a": 0.0}, {1: "a"}, {"ü": 1}, [b"x"], (1,)])
def test_what_has_no_canonical_form_is_refused(fact: object) -> None:
    """Floats, other types and keys that are not ASCII text are a TypeError."""
    with pytest.raises(TypeError):
        canonical.encode(fact)  # type: ignore[arg-type]


@pytest.mark.parametrize("fact", [2**53, -(2**53), "\ud800"])
def test_what_readers_would_change_is_refused(fact: canonical.Fact) -> None:
    """Integers beyond 2^53 - 1 and lone surrogates are a ValueError."""
    with pytest.raises(ValueError):
        canonical.encode(fact)


ENTRIES = st.lists(st.integers(1, 10**6), unique=True, max_size=12)


@given(ENTRIES, st.randoms(use_true_random=False))
def test_state_digest_does_not_depend_on_order(uids: list[int], order: random.Random) -> None:
    """The digest is that of a set."""
    first, second = StateDigest(), StateDigest()
    for uid in uids:
        first.add(state_digest.model_entry("m", uid))
    order.shuffle(uids)
    for uid in uids:
        second.add(state_digest.model_entry("m", uid))
    assert first.value() == second.value()


@given(ENTRIES, st.integers(10**6 + 1, 10**7))
def test_taking_away_undoes_adding(uids: list[int], extra: int) -> None:
    """An entry that came and went leaves no trace, and while it is there the digest differs."""
    digest = StateDigest()
    for uid in uids:
        digest.add(state_digest.model_entry("m", uid))
    before = digest.value()
    digest.add(state_digest.model_entry("m", extra))
    assert digest.value() != before
    digest.remove(state_digest.model_entry("m", extra))
    assert digest.value() == before


def test_state_digest_against_plain_integers() -> None:
    """The lanes add up as the definition says, computed here without NumPy."""
    entries = [state_digest.version_entry("m", n, "sha256:" + "0" * 64) for n in range(1, 40)]
    digest = StateDigest()
    lanes = [0] * state_digest.LANES
    for entry in entries:
        digest.add(entry)
        data = hashlib.shake_128(canonical.encode(entry)).digest(state_digest.BYTES)
        for lane in range(state_digest.LANES):
            lanes[lane] = (lanes[lane] + data[2 * lane] + 256 * data[2 * lane + 1]) % 2**16
    expected = b"".join(lane.to_bytes(2, "little") for lane in lanes)
    assert digest.accumulator() == expected
    assert digest.value() == hashlib.sha256(expected).digest()


def test_state_digest_goes_on_from_its_accumulator() -> None:
    """A stored sum is taken up again, and one of the wrong size is refused."""
    digest = StateDigest()
    digest.add(state_digest.alias_entry("m", "a", 3, {"version": 1}, 0))
    assert StateDigest(digest.accumulator()).value() == digest.value()
    with pytest.raises(ValueError, match="2047 bytes instead of 2048"):
        StateDigest(bytes(2047))
