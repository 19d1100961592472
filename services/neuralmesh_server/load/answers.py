"""Holds every answer against what the version it names would say when asked alone.

The expected outputs of a version come from one call for each request, pinned to that version by its number. Kinds that
promise the same bits are compared bit for bit, others within a tolerance. An answer of a version that is not known yet,
as in the middle of a swap, is kept until it can be judged; equal ones are kept once.

Answers are read without protobuf, since this happens for each: only the version and the raw outputs, by their field
numbers in the public contract (model_version = 2, outputs = 5, raw_output_contents = 6).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from neuralmesh import oip
from neuralmesh.prediction import read_response
from neuralmesh_server.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

EXACT_KINDS = frozenset({"liam.binary_index", "liam.binary_network", "liam.signal_transform"})
"""Platforms, as ModelMetadata names them, whose outputs are the same bits on every machine and in every batch."""

MOST_EXAMPLES = 5
MOST_WAITING = 1_000
"""Answers that wait to be compared in detail; at this number those of known versions are, so that memory is bounded."""

_VERSION = 0x12
_OUTPUTS = frozenset({0x2A, 0x32})


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far outputs of floats may be from the expected ones; integers, booleans and bytes are always equal.

    Attributes:
        relative: Share of the expected value.
        absolute: Distance that is permitted whatever the value.
    """

    relative: float = 1e-4
    absolute: float = 1e-5


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """An answer that differs from what its version says: the request's place, the version, and how it differs."""

    request: int
    version: str
    why: str


@dataclass(slots=True)
class Answers:
    """Judges the answers of one run.

    Attributes:
        versions: Answers by the version they name.
        right: How many were as expected.
        wrong: How many were not.
        unjudged: How many name a version that could not be asked, or were never judged.
        examples: The first wrong ones.
        unasked: Versions that could not be asked what is expected of them, and why.
    """

    versions: Counter[str] = field(default_factory=Counter)
    right: int = 0
    wrong: int = 0
    examples: list[WrongAnswer] = field(default_factory=list)
    unasked: dict[str, str] = field(default_factory=dict)
    _tolerances: dict[str, Tolerance | None] = field(default_factory=dict)
    _expected: dict[str, list[bytes]] = field(default_factory=dict)
    _read: dict[str, list[tuple[bytes, ...]]] = field(default_factory=dict)
    _waiting: dict[tuple[str, int, tuple[bytes, ...]], list[Any]] = field(default_factory=dict)

    @property
    def unjudged(self) -> int:
        """Answers that no expectation was found for."""
        return sum(count for count, _ in self._waiting.values())

    def know(self, version: str, answers: Sequence[bytes], tolerance: Tolerance | None) -> None:
        """Take a version's answers to the workload's requests, in order, as what is expected of it.

        A tolerance of None demands equal bits.
        """
        self._tolerances[version] = tolerance
        self._expected[version] = list(answers)
        self._read[version] = [read_answer(answer)[1] for answer in answers]

    def unknown(self) -> list[str]:
        """Return the versions that answered and whose expected outputs are not known."""
        return sorted({version for version, _, _ in self._waiting if version not in self._expected})

    def take(self, request: int, answer: bytes) -> None:
        """Judge the answer to the request at a place of the workload, at once where its version is known.

        Raises:
            InternalError: The bytes are no answer.
        """
        version, outputs = read_answer(answer)
        self.versions[version] += 1
        known = self._read.get(version)
        if known is not None and known[request] == outputs:
            self.right += 1
            return
        waiting = self._waiting.setdefault((version, request, outputs), [0, answer])
        waiting[0] += 1
        if known is not None and len(self._waiting) >= MOST_WAITING:
            self.settle()

    def settle(self) -> None:
        """Judge what waits for an expectation that has come."""
        for key in [key for key in self._waiting if key[0] in self._expected]:
            version, request, _ = key
            count, answer = self._waiting.pop(key)
            why = difference(
                outputs_of(self._expected[version][request]), outputs_of(answer), self._tolerances[version]
            )
            if not why:
                self.right += count
                continue
            self.wrong += count
            if len(self.examples) < MOST_EXAMPLES:
                self.examples.append(WrongAnswer(request, version, why))


def difference(
    expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]], tolerance: Tolerance | None
) -> str:
    """Say how outputs differ from the expected ones; empty when they do not."""
    if expected.keys() != found.keys():
        return f"outputs {sorted(found)} instead of {sorted(expected)}"
    for name, wanted in expected.items():
        given = found[name]
        if wanted.shape != given.shape or wanted.dtype != given.dtype:
            return (
                f"{name} is {given.dtype.name} {list(given.shape)}, expected {wanted.dtype.name} {list(wanted.shape)}"
            )
        if _same_bits(wanted, given):
            continue
        if tolerance is None or wanted.dtype.kind != "f":
            return f"{name} differs in {_differing(wanted, given)} of {wanted.size} elements"
        if not np.allclose(given, wanted, rtol=tolerance.relative, atol=tolerance.absolute, equal_nan=True):
            farthest = float(np.max(np.abs(given.astype(np.float64) - wanted.astype(np.float64))))
            return f"{name} is up to {farthest:.3g} away"
    return ""


def _same_bits(left: NDArray[Any], right: NDArray[Any]) -> bool:
    if left.dtype.kind == "O":
        return bool(np.array_equal(left, right))
    return left.tobytes() == right.tobytes()


def _differing(left: NDArray[Any], right: NDArray[Any]) -> int:
    return int(np.count_nonzero(left != right))


def outputs_of(answer: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an answer."""
    return read_response(oip.ModelInferResponse.FromString(answer)).outputs


def read_answer(answer: bytes) -> tuple[str, tuple[bytes, ...]]:
    """Return the version that an answer names, and its outputs as they were serialised, one after the other.

    Raises:
        InternalError: The bytes are no protobuf message.
    """
    version = ""
    outputs: list[bytes] = []
    at, end = 0, len(answer)
    try:
        while at < end:
            tag, length, at = answer[at], answer[at + 1], at + 2
            if tag & 7 != 2 or tag & 0x80:
                return _read_slowly(answer)
            if length & 0x80:
                length, at = _long_length(answer, at)
            if tag == _VERSION:
                version = answer[at : at + length].decode()
            elif tag in _OUTPUTS:
                outputs.append(answer[at : at + length])
            at += length
    except (IndexError, UnicodeDecodeError) as error:
        raise InternalError("INTERNAL", "an answer is no protobuf message") from error
    if at != end:
        raise InternalError("INTERNAL", "an answer is cut off")
    return version, tuple(outputs)


def _long_length(answer: bytes, at: int) -> tuple[int, int]:
    """Return a length of more than one byte whose first byte stands before `at`, and the place behind it."""
    length, shift, at = 0, 0, at - 1
    while True:
        byte = answer[at]
        length |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return length, at
        shift += 7


def _read_slowly(answer: bytes) -> tuple[str, tuple[bytes, ...]]:
    """Read an answer that has fields this module does not know."""
    try:
        message = oip.ModelInferResponse.FromString(answer)
    except DecodeError as error:
        raise InternalError("INTERNAL", "an answer is no protobuf message") from error
    outputs = [output.SerializeToString() for output in message.outputs]
    return str(message.model_version), (*outputs, *message.raw_output_contents)
