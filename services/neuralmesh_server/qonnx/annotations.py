"""The integer types that QONNX models may say their tensors have.

qonnx's executor rounds values that contradict the type, or fails. An import does neither: a constant, or a value that
is reached, which contradicts its annotation is refused, so that annotations change nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuralmesh_server.qonnx.graph import Operation

_INTEGER = re.compile(r"(U?)INT([1-9][0-9]{0,2})")


def is_integer(annotation: str) -> bool:
    """Say whether a type permits integers only."""
    return not allows(annotation, np.array([0.5]))


def want_allowed(operation: Operation, values: NDArray[Any]) -> None:
    """Refuse an operation whose values are not of the type that the model says its output has."""
    if not allows(operation.annotation, values):
        raise refused(operation.node, f"its output is annotated as {operation.annotation}, which its values are not")


def allows(annotation: str, values: NDArray[Any]) -> bool:
    """Say whether all values are of the type; types that are no integers, and none, allow everything."""
    if annotation in {"BIPOLAR", "BINARY", "TERNARY"}:
        low = 0.0 if annotation == "BINARY" else -1.0
        inner = (values == 0) if annotation != "BIPOLAR" else np.zeros(values.shape, bool)
        return bool((inner | (values == low) | (values == 1)).all())
    found = _INTEGER.fullmatch(annotation)
    if found is None:
        return True
    unsigned, bits = bool(found[1]), int(found[2])
    least, most = (0.0, 2.0**bits - 1) if unsigned else (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
    return bool(((values == np.round(values)) & (values >= least) & (values <= most)).all())
