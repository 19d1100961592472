"""True labels from Python and NumPy values to the contract's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh.exceptions import InvalidArgumentError
from neuralmesh.metrics.v1 import metrics_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable


def build_labels(labels: Iterable[Any]) -> list[pb.Label]:
    """Return one Label for each value: an integer, bytes, or text, of Python or NumPy.

    Raises:
        InvalidArgumentError: A value is of another type.
    """
    return [_label(value) for value in labels]


def _label(value: Any) -> pb.Label:
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool) or not isinstance(plain, int | bytes | str):
        raise InvalidArgumentError(
            "OUTCOME_INVALID",
            f"label {plain!r} is neither an integer nor bytes nor text",
            {"label": repr(plain)},
        )
    if isinstance(plain, int):
        if not -(2**63) <= plain < 2**63:
            raise InvalidArgumentError("OUTCOME_INVALID", f"label {plain} does not fit 64 bits", {"label": str(plain)})
        return pb.Label(int_value=plain)
    return pb.Label(bytes_value=plain.encode() if isinstance(plain, str) else plain)
