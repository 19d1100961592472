"""Prediction ids: what they say, and that nobody else can make one."""

from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liam_core.oip import Numbers
from neuralmesh_server import prediction_id
from neuralmesh_server.errors import InvalidArgumentError

KEY = bytes(range(32))
DIGEST = "sha256:" + hashlib.sha256(b"version").hexdigest()


@given(
    epoch=st.integers(0, 2**48 - 1),
    offset=st.integers(0, 2**40 - 1),
    revision=st.integers(0, 2**48 - 1),
    uid=st.integers(1, 2**32 - 1),
    version=st.integers(1, 2**31 - 1),
)
def test_an_id_says_what_it_was_made_of(epoch: int, offset: int, revision: int, uid: int, version: int) -> None:
    """Parsing an issued id gives every part back, and its checksum holds under the node's key only."""
    issuer = prediction_id.Issuer("edge-1", KEY, epoch, Numbers())
    parsed = prediction_id.parse(issuer.issue(prediction_id.subject(revision, uid, version, DIGEST), offset))
    assert (parsed.node, parsed.epoch_ms, parsed.offset_ms, parsed.sequence) == ("edge-1", epoch, offset, 1)
    assert (parsed.revision, parsed.model_uid, parsed.version) == (revision, uid, version)
    assert parsed.matches_digest(DIGEST)
    assert not parsed.matches_digest("sha256:" + "0" * 64)
    assert parsed.verify(KEY)
    assert not parsed.verify(bytes(32))


def test_ids_of_an_epoch_are_numbered() -> None:
    """Consecutive ids differ and count from one."""
    issuer = prediction_id.Issuer("edge", KEY, 5, Numbers())
    subject = prediction_id.subject(1, 1, 1, DIGEST)
    ids = [issuer.issue(subject, 0) for _ in range(100)]
    assert [prediction_id.parse(text).sequence for text in ids] == list(range(1, 101))


def test_numbers_that_others_take_are_left_out() -> None:
    """An issuer goes on after the numbers that somebody else was given beside it."""
    numbers = Numbers(7)
    issuer = prediction_id.Issuer("edge", KEY, 5, numbers)
    subject = prediction_id.subject(1, 1, 1, DIGEST)
    assert numbers.next() == 8
    assert prediction_id.parse(issuer.issue(subject, 0)).sequence == numbers.last == 9


def test_every_flipped_bit_is_refused() -> None:
    """Changing any one of the 384 bits of an id leaves it without a valid checksum."""
    issuer = prediction_id.Issuer("edge", KEY, 1_700_000_000_000, Numbers())
    text = issuer.issue(prediction_id.subject(9, 8, 7, DIGEST), 6)
    head, body = text[:-64], base64.urlsafe_b64decode(text[-64:])
    for bit in range(len(body) * 8):
        forged = bytearray(body)
        forged[bit // 8] ^= 1 << bit % 8
        assert not prediction_id.parse(head + base64.urlsafe_b64encode(forged).decode()).verify(KEY)


def test_another_node_cannot_take_the_id_over() -> None:
    """The node's name is part of what the checksum covers."""
    text = prediction_id.Issuer("edge-1", KEY, 1, Numbers()).issue(prediction_id.subject(1, 1, 1, DIGEST), 1)
    assert not prediction_id.parse(text.replace("edge-1", "edge-2")).verify(KEY)


@pytest.mark.parametrize(
    "text",
    ["", "nm1", "nm1.edge.", "nm2.edge." + "A" * 64, "nm1.Edge." + "A" * 64, "nm1.edge." + "A" * 63,
     "nm1.edge." + "A" * 65, "nm1.edge." + "+" * 64, "nm1.edge." + "A" * 64 + "\n", "nm1.é." + "A" * 64],
)  # fmt: skip
def test_what_is_no_id_is_refused(text: str) -> None:
    """Text of another form is PREDICTION_ID_INVALID."""
    with pytest.raises(InvalidArgumentError) as failure:
        prediction_id.parse(text)
    assert failure.value.reason == "PREDICTION_ID_INVALID"


@given(st.text(max_size=90))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No text makes the parser fail in another way."""
    with contextlib.suppress(InvalidArgumentError):
        assert prediction_id.parse(text).node in text


@given(
    node=st.sampled_from(["edge", "edge-1"]),
    version=st.integers(1, 2**31 - 1),
    position=st.integers(0, 72),
    inserted=st.text(alphabet="A-_+/=.\né", max_size=2),
)
def test_the_quick_half_says_what_the_parser_says(node: str, version: int, position: int, inserted: str) -> None:
    """An id passes the quick half exactly when the parser finds that node and version in it."""
    issued = prediction_id.Issuer(node, KEY, 3, Numbers()).issue(prediction_id.subject(1, 1, version, DIGEST), 4)
    for text in (issued, issued[:position] + inserted + issued[position + len(inserted) :], issued[:-2] + "=="):
        try:
            parsed = prediction_id.parse(text)
        except InvalidArgumentError:
            expected = False
        else:
            expected = (parsed.node, parsed.version) == (node, version)
        assert prediction_id.is_issued_for(text, f"nm1.{node}.", version.to_bytes(4, "big")) == expected


def test_a_key_of_another_length_is_refused() -> None:
    """A key that has not 32 bytes is a mistake of the program."""
    with pytest.raises(ValueError, match="16 bytes"):
        prediction_id.Issuer("edge", bytes(16), 1, Numbers())
