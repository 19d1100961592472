"""An inference request and its caller as the domain sees them: values, no messages, nothing checked yet.

`convert` makes them from the wire; `validate` holds them against a signature.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Parameter: TypeAlias = bool | int | float | str
"""The value of a request parameter."""

HOPS_KEY = "neuralmesh-hops"
"""Metadata that says how many nodes passed a call on."""
DIGEST_KEY = "neuralmesh-digest"
"""Metadata that says which digest is to answer: a version of exactly this one does, or none."""
TOO_LATE_SECONDS = 0.02
"""A call that is cancelled with no more than this left was ended by its deadline: the caller's clock may be ahead."""
MAX_HOPS = 2
"""Most nodes that pass one call on."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input tensor.

    Attributes:
        typed: Elements by the name of the typed field that holds them, for every field that is set; None where the
            input has no typed contents at all.
        parameters: Names of its parameters.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    typed: Mapping[str, Sequence[Any]] | None = None
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that the caller wants, and the names of its parameters."""

    name: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        version: A number, the name of an alias, or empty.
        id: The caller's own id, echoed; may be empty.
        parameters: None for a parameter without a value.
        raw: Raw elements of the inputs, in their order; empty when they are typed.
        outputs: What is wanted; empty for everything.
        data: The request as it came.
    """

    model: str
    version: str
    id: str
    inputs: tuple[Input, ...]
    raw: tuple[bytes | memoryview, ...]
    outputs: tuple[RequestedOutput, ...]
    parameters: Mapping[str, Parameter | None]
    data: bytes


def _no_metadata(key: str) -> str | None:
    del key
    return None


@dataclass(frozen=True, slots=True)
class Caller:
    """What the transport knows of a call.

    Attributes:
        deadline: When the caller stops waiting, on `time.monotonic`; None for never.
        metadata: Returns the first value of a key, or None.
        hops: How many nodes passed the call on before this one.
        digest: Digest of the one version that may answer, as a node further down resolved it; empty for whichever the
            request names.
    """

    deadline: float | None = None
    metadata: Callable[[str], str | None] = field(default=_no_metadata)
    hops: int = 0
    digest: str = ""

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, negative when it has passed; None for no deadline."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def is_late(self) -> bool:
        """Say whether a call that is cancelled now was ended by its deadline."""
        remaining = self.remaining()
        return remaining is not None and remaining <= TOO_LATE_SECONDS
