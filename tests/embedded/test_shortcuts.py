"""What is written and read by what was kept is what would have been written and read in full."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neuralmesh import oip
from neuralmesh.exceptions import InternalError, InvalidArgumentError
from neuralmesh.prediction import Prediction, build_request, read_response
from neuralmesh.tensors import DTYPES, Tensor
from neuralmesh_server.embedded import shortcuts
from neuralmesh_server.embedded.shortcuts import Shortcuts

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
TYPES = st.sampled_from([*DTYPES.values(), np.dtype(">f4"), np.dtype(">i8"), np.dtype("S3"), np.dtype("U2")])
INPUTS = st.dictionaries(
    st.sampled_from(["x", "input", "größe"]),
    arrays.arrays(TYPES, arrays.array_shapes(min_dims=0, min_side=0)),
    max_size=3,
)


def in_full(model: str, version: str, inputs: Any) -> bytes:
    """Return a request as the client writes it."""
    message = build_request(model, inputs, version=version, outputs=(), request_id="", parameters=None)
    return bytes(message.SerializeToString())


def answer(prediction_id: str = "edge.1.7.abc", **changes: Any) -> bytes:
    """Return an answer with two outputs, as a node writes it."""
    fields = {"model": "m", "version": "3", "node": "edge", "id": "", "scores": b"\1\2\3\4\5\6\7\x08", **changes}
    message = oip.ModelInferResponse(model_name=fields["model"], model_version=fields["version"], id=fields["id"])
    for key, value in {"prediction_id": prediction_id, "node": fields["node"], "digest": "sha256:ab"}.items():
        message.parameters[key].string_param = value
    if "stale" in changes:
        message.parameters["stale_seconds"].int64_param = changes["stale"]
    message.outputs.add(name="label", datatype="INT64", shape=[1])
    message.outputs.add(name="scores", datatype="FP32", shape=changes.get("shape", [2]))
    message.raw_output_contents.extend([changes.get("label", bytes(8)), fields["scores"]])
    return bytes(message.SerializeToString(deterministic=True))


def same(one: Prediction, other: Prediction) -> bool:
    """Say whether two predictions are the same in every part and type."""
    facts = [
        (
            found.model, found.version, found.prediction_id, found.digest, found.node, found.request_id, found.parameters,
            [(name, array.dtype, array.shape, array.tobytes(), array.flags.writeable, array.flags.aligned)
             for name, array in found.outputs.items()],
        )
        for found in (one, other)
    ]  # fmt: skip
    return facts[0] == facts[1]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["m", "größe"]), st.sampled_from(["", "7", "production"]), INPUTS)
def test_requests_are_those_of_the_client(model: str, version: str, inputs: dict[str, np.ndarray]) -> None:
    """Whatever arrays are asked with, the first time and later, the request has the client's bytes."""
    kept = Shortcuts()
    wanted = in_full(model, version, inputs)
    for _ in range(3):
        key = kept.key(model, version, inputs)
        assert key is not None
        assert kept.write(key, model, version, inputs) == wanted


def test_other_contents_of_the_same_form() -> None:
    """What is kept of a request has nothing of its contents, nor of how they lay in memory."""
    kept = Shortcuts()
    for inputs in ({"x": ROWS}, {"x": ROWS + 1}, {"x": np.asfortranarray(ROWS)}, {"x": ROWS[::-1]}, {"x": ROWS[:1]}):
        for _ in range(2):
            key = kept.key("m", "", inputs)
            assert key is not None
            assert kept.write(key, "m", "", inputs) == in_full("m", "", inputs)


def test_what_is_no_plain_array_takes_the_ordinary_way() -> None:
    """Tensors with a type of their own, subclasses and what is no array have no key; what cannot be sent is told as ever."""
    kept = Shortcuts()
    for value in (Tensor(np.zeros(2, np.uint16), "BF16"), np.ma.zeros(2), [1.0], None):
        assert kept.key("m", "", {"x": value}) is None  # type: ignore[dict-item]
    wrong = {"x": np.zeros(2, np.complex64)}
    key = kept.key("m", "", wrong)
    assert key is not None
    for _ in range(2):
        with pytest.raises(InvalidArgumentError, match="complex64"):
            kept.write(key, "m", "", wrong)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prediction_id": "edge.1.8.abd"},
        {"prediction_id": "edge.1.10.abcd"},
        {"prediction_id": ""},
        {"prediction_id": "edge"},
        {"prediction_id": "größe.1.7.a"},
        {"scores": bytes(8)},
        {"label": b"\xff" * 8, "scores": b"\0\0\xc0\x7f\0\0\x80\xff"},
        {"version": "4"},
        {"version": ""},
        {"model": "n"},
        {"node": "edgy"},
        {"id": "mine"},
        {"stale": 9},
        {"shape": [2, 1]},
        {"shape": [3], "scores": bytes(12)},
    ],
)
def test_answers_are_read_as_the_client_reads_them(changes: dict[str, Any]) -> None:
    """An answer that differs in anything from the one before is read right, and so is the one after it."""
    kept = Shortcuts()
    for data in (answer(), answer(), answer(**changes), answer(**changes), answer(), answer("edge.2.9.xyz")):
        assert same(kept.read(("m",), data), read_response(oip.ModelInferResponse.FromString(data)))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_answers_that_differ_in_any_byte(data: st.DataObject) -> None:
    """Whatever byte of an answer is another one, it is read as in full, or fails as in full."""
    kept = Shortcuts()
    kept.read(("m",), answer())
    other = bytearray(answer())
    place = data.draw(st.integers(0, len(other) - 1))
    other[place] = data.draw(st.integers(0, 255))
    found: list[Any] = []
    for read in (lambda one: kept.read(("m",), one), lambda one: read_response(oip.ModelInferResponse.FromString(one))):
        try:
            found.append(read(bytes(other)))
        except Exception as error:  # noqa: BLE001 - whatever it is, both must raise it
            found.append(type(error))
    assert found[0] == found[1] if isinstance(found[0], type) else same(*found)


def test_an_answer_that_breaks_the_protocol_is_told_as_ever() -> None:
    """A buffer too many is the client's error, also after an answer that was kept."""
    kept = Shortcuts()
    kept.read(("m",), answer())
    message = oip.ModelInferResponse.FromString(answer())
    message.raw_output_contents.append(b"more")
    with pytest.raises(InternalError, match="3 buffers"):
        kept.read(("m",), message.SerializeToString())


def test_predictions_share_nothing() -> None:
    """Whoever changes what he got changes nobody else's."""
    kept = Shortcuts()
    first = [kept.read(("m",), answer()) for _ in range(3)]
    first[1].parameters["own"] = 1
    first[1].outputs.clear()
    assert same(kept.read(("m",), answer()), first[2])


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that asks for ever other shapes holds no more than so many."""
    monkeypatch.setattr(shortcuts, "KINDS", 4)
    kept = Shortcuts()
    for size in range(20):
        inputs = {"x": np.zeros(size, np.uint8)}
        key = kept.key("m", "", inputs)
        assert key is not None
        assert kept.write(key, "m", "", inputs) == in_full("m", "", inputs)
        kept.read(key, answer())
        assert len(kept._heads) <= 4
        assert len(kept._answers) <= 4
