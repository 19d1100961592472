"""Compact bytes of labels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server.metrics import labels

INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20).map(tuple)
TEXTS = st.lists(st.binary(max_size=40), min_size=1, max_size=20).map(tuple)


@given(values=st.one_of(INTEGERS, TEXTS))
def test_labels_come_back_as_they_were(values):
    """Decoding what was encoded gives the same labels of the same kind."""
    back = labels.decode(labels.encode(values))
    assert back == values
    assert labels.kind(back) == labels.kind(values)


@given(left=st.one_of(INTEGERS, TEXTS), right=st.one_of(INTEGERS, TEXTS))
def test_bytes_are_equal_exactly_when_labels_are(left, right):
    """Stored bytes may be compared in place of labels."""
    assert (labels.encode(left) == labels.encode(right)) == (left == right)


def test_small_integers_take_one_byte():
    """A label from -128 to 127 costs one byte beside the tag."""
    assert labels.encode((0, 9, -128, 127)) == b"b\x00\x09\x80\x7f"


@given(rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=30))
def test_agreements_counts_equal_rows(rows):
    """Rows agree when their labels are equal."""
    left, right = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
    assert labels.agreements(left, right) == len([1 for row in rows if row[0] == row[1]])
