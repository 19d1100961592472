"""Checks of what callers hand to the NumPy side of the package.

Every refusal is a `ValueError` whose message starts with the argument's name, whatever was wrong with it
(type, dtype, shape or value), so that a caller needs one handler. The C kernel's bindings check what they
need themselves; this module knows nothing of packed words.
"""

import math
import operator
from numbers import Real
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liam_core.errors import ModelFormatError

Float64Array: TypeAlias = NDArray[np.float64]

# The largest magnitude up to which float64 holds every integer (53-bit significand).
EXACT_INTEGER_LIMIT: Final = 2**53

_RANK_NAMES: Final = {1: "a vector", 2: "a matrix"}


def integer(name: str, value: object, minimum: int | None = None) -> int:
    """Return `value` as an int; `ValueError` for a bool, a non-integer or a value below `minimum`."""
    if isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}: want an integer, got the bool {value}")  # noqa: TRY004 - one error type
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(f"{name}: want an integer, got {type(value).__name__}") from error
    if minimum is not None and number < minimum:
        raise ValueError(f"{name}: want an integer of at least {minimum}, got {number}")
    return number


def real_scalar(name: str, value: object) -> float:
    """Return `value` as a float; `ValueError` for a bool, a non-number, or what is no finite float64."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise ValueError(f"{name}: want a real number, got {type(value).__name__}")  # noqa: TRY004 - one error type
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError(f"{name}: the number exceeds the range of float64") from error
    if not math.isfinite(number):
        raise ValueError(f"{name}: want a finite number, got {number}")
    return number


def numeric_array(name: str, value: object) -> NDArray[Any]:
    """Return `value` as an array of integers or floats of at most 64 bits, in its own dtype.

    Nothing is rounded on the way: a list that mixes floats with integers which float64 cannot hold is
    refused.

    Raises:
        ValueError: ragged nesting, a bool anywhere (lists included), or any other dtype.
    """
    array = np.asarray(value) if isinstance(value, np.ndarray) else _from_array_like(name, value)
    if array.dtype.kind == "b":
        raise ValueError(f"{name}: want numbers, got bools")
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > np.dtype(np.float64).itemsize:
        raise ValueError(f"{name}: want integers or floats of at most 64 bits, got dtype {array.dtype}")
    return array


def _from_array_like(name: str, value: object) -> NDArray[Any]:
    # NumPy would turn [True, 2.0] into floats and [2**53 + 1, 0.5] into rounded floats without a word, so the
    # elements are looked at as Python objects first.
    try:
        boxed = np.asarray(value, dtype=object)
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name}: not a rectangular array of 64-bit numbers ({error})") from error
    types = set(map(type, boxed.ravel()))
    if not types.isdisjoint({bool, np.bool_}):
        raise ValueError(f"{name}: want numbers, got bools")
    has_integers = any(issubclass(kind, int | np.integer) for kind in types)
    if has_integers and array.dtype.kind == "f" and not ((array == boxed) | ~np.isfinite(array)).all():
        raise ValueError(f"{name}: holds an integer that float64 cannot represent, mixed with other numbers")
    return array


def real_array(name: str, value: object, ndim: int | None = None) -> Float64Array:
    """Return `value` as a non-empty, finite float64 array that equals it exactly.

    Args:
        name: The argument's name, for messages.
        value: An array or nested lists of integers or floats.
        ndim: The number of dimensions wanted; None takes any number above zero.

    Raises:
        ValueError: wrong dtype or number of dimensions, no elements, NaN, infinity, or an integer beyond
            2**53 in magnitude (float64 would round it).
    """
    array = numeric_array(name, value)
    if array.ndim == 0 or (ndim is not None and array.ndim != ndim):
        wanted = "an array" if ndim is None else _RANK_NAMES[ndim]
        raise ValueError(f"{name}: want {wanted}, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name}: is empty, shape {array.shape}")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: holds NaN or infinity")
    elif max(int(array.max()), -int(array.min())) > EXACT_INTEGER_LIMIT:
        raise ValueError(f"{name}: holds an integer beyond 2**53, which float64 cannot hold exactly")
    return np.asarray(array, dtype=np.float64)


def part_array(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return what NumPy makes of the numbers of a definition's part, in an array or in lists.

    Raises:
        ModelFormatError: ragged nesting.
    """
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ModelFormatError(f"{name}: want a rectangular array ({error})") from error


def part_integer(name: str, value: object) -> int:
    """Return an integer of a definition.

    Raises:
        ModelFormatError: it is none.
    """
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise ModelFormatError(f"{name}: want an integer, got {value!r}") from error


def square_matrix(name: str, value: object) -> Float64Array:
    """Return `value` as `real_array` does, refusing what is not a square matrix."""
    matrix = real_array(name, value, ndim=2)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name}: want a square matrix, got shape {matrix.shape}")
    return matrix


def representable(names: str, result: NDArray[np.floating[Any]] | np.floating[Any]) -> Float64Array:
    """Return `result` if it is finite, else refuse the arguments `names` whose result overflowed."""
    if not np.isfinite(result).all():
        raise ValueError(f"{names}: the result exceeds the range of float64")
    return np.asarray(result, dtype=np.float64)
