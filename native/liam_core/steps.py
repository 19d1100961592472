"""The steps of a signal transform: what each takes, gives, and needs. Nothing runs here.

A signal is rows of float32 numbers, of bits, or, at the end of a chain, of int8 or uint8 numbers. A chain is valid
when every step takes what the one before it gives; constructing a `TransformDefinition` checks that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liam_core.arguments import part_array
from liam_core.bits import pack, words_for
from liam_core.errors import ModelFormatError
from liam_core.hadamard import Order
from liam_core.kernel import MAX_NBITS

__all__ = [
    "BITS",
    "FLAGS",
    "FLOATS",
    "INPUT_FORMS",
    "ORDERS",
    "PACKED",
    "BitRotate",
    "Gf2Map",
    "Rotation",
    "Scale",
    "Signal",
    "Step",
    "Threshold",
    "TransformDefinition",
    "Unpack",
    "WalshHadamard",
]

FLOATS: Final = "float32"
BITS: Final = "bits"
PACKED: Final = "packed"
FLAGS: Final = "uint8"
INPUT_FORMS: Final = (FLOATS, PACKED, FLAGS)
"""Forms of the input: numbers, bytes of eight bits, or a byte 0 or 1 for each bit."""
ORDERS: Final[tuple[Order, ...]] = ("natural", "sequency")
NUMBERS: Final = (FLOATS, "int8", FLAGS)
"""What bits can be unpacked to: +1 and -1 as float32 or int8, or 1 and 0 as uint8."""
MAX_STEPS: Final = 64
MAX_SEED: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Signal:
    """What stands between two steps: rows of `width` numbers or bits."""

    form: str
    """FLOATS or BITS; "int8" or FLAGS behind the last step."""
    width: int

    def __str__(self) -> str:
        return f"{self.width} {'bits' if self.form == BITS else self.form}"


@dataclass(frozen=True, slots=True, eq=False)
class Rotation:
    """A random orthonormal rotation, the same for equal seeds and widths: float32 to float32."""

    NAME: ClassVar = "rotation"

    seed: int

    def after(self, place: str, before: Signal) -> Signal:
        """Return what the step gives; refuse what it does not take."""
        _takes(place, self.NAME, before, FLOATS)
        if type(self.seed) is not int or not 0 <= self.seed <= MAX_SEED:
            raise ModelFormatError(f"{place}.seed: want an integer from 0 to {MAX_SEED}, got {self.seed!r}")
        return before


@dataclass(frozen=True, slots=True, eq=False)
class WalshHadamard:
    """The Walsh-Hadamard transform, unnormalised: float32 to float32, a power of two of them."""

    NAME: ClassVar = "walsh_hadamard"

    order: Order = "natural"
    """Of the results: one of ORDERS."""

    def after(self, place: str, before: Signal) -> Signal:
        """Return what the step gives; refuse what it does not take."""
        _takes(place, self.NAME, before, FLOATS)
        if self.order not in ORDERS:
            raise ModelFormatError(f"{place}.order: {self.order!r} is none of {', '.join(ORDERS)}")
        if before.width & (before.width - 1):
            raise ModelFormatError(f"{place}: walsh_hadamard takes a power of two, but gets {before} from before it")
        return before


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """Each number times its factor, rounded once: float32 to float32."""

    NAME: ClassVar = "scale"

    factors: NDArray[np.float32]
    """(width,), finite."""

    def after(self, place: str, before: Signal) -> Signal:
        """Return what the step gives; refuse what it does not take."""
        _takes(place, self.NAME, before, FLOATS)
        _check_vector(f"{place}.factors", self.factors, before.width)
        return before


@dataclass(frozen=True, slots=True, eq=False)
class Threshold:
    """Bit j is `x[j] >= thresholds[j]`, and `x[j] >= 0` without thresholds; NaN gives 0: float32 to bits."""

    NAME: ClassVar = "threshold"

    thresholds: NDArray[np.float32] | None = None
    """(width,), finite."""

    def after(self, place: str, before: Signal) -> Signal:
        """Return what the step gives; refuse what it does not take."""
        _takes(place, self.NAME, before, FLOATS)
        if self.thresholds is not None:
            _check_vector(f"{place}.thresholds", self.thresholds, before.width)
        return Signal(BITS, before.width)


@dataclass(frozen=True, slots=True, eq=False)
class BitRotate:
    """Bits moved round the row, bit j to place (j + shift) modulo the width, as `numpy.roll` does: bits to bits."""

    NAME: ClassVar = "bit_rotate"

    shift: int
    """Within one turn to either side."""

    def after(self, place: str, before: Signal) -> Signal:
        """Return what the step gives; refuse what it does not take."""
        _takes(place, self.NAME, before, BITS)
        if type(self.shift) is not int or not -before.width < self.shift < before.width:
            limit = before.width - 1
            raise ModelFormatError(f"{place}.shift: want an integer from {-limit} to {limit}, got {self.shift!r}")
        return before


@dataclass(frozen=True, slots=True, eq=False)
class Gf2Map:
    """y = A x over GF(2): bit i is the parity of the bits that row i of the matrix chooses. Bits to bits."""

    NAME: ClassVar = "gf2_map"

    matrix: NDArray[np.uint64]
    """(outputs, words), packed rows as wide as the input; zero bits past its width."""

    @classmethod
    def of(cls, matrix: ArrayLike) -> "Gf2Map":
        """Return the map of an unpacked matrix (outputs, width) of 0 and 1."""
        array = part_array("matrix", matrix)
        if array.ndim != 2 or array.dtype.kind not in "biu" or (array.size and not np.isin(array, (0, 1)).all()):
            raise ModelFormatError(f"matrix: want a matrix of 0 and 1, got {array.dtype} {array.shape}")
        return cls(pack(np.ascontiguousarray(array, dtype=np.bool_)))

    def after(self, place: str, before: Signal) -> Signal:
        """Return what the step gives; refuse what it does not take."""
        _takes(place, self.NAME, before, BITS)
        if not isinstance(self.matrix, np.ndarray) or self.matrix.ndim == 0:
            raise ModelFormatError(f"{place}.matrix: want a packed uint64 matrix, got {type(self.matrix).__name__}")
        outputs, words = len(self.matrix), words_for(before.width)
        if self.matrix.shape != (outputs, words) or self.matrix.dtype != np.uint64:
            got = f"{self.matrix.dtype} {self.matrix.shape}"
            raise ModelFormatError(f"{place}.matrix: want uint64 (outputs, {words}) for {before}, got {got}")
        if not 0 < outputs <= MAX_NBITS:
            raise ModelFormatError(f"{place}.matrix: want 1 to {MAX_NBITS} outputs, got {outputs}")
        if before.width % 64 and (self.matrix[:, -1] >> np.uint64(before.width % 64)).any():
            raise ModelFormatError(f"{place}.matrix: bits past {before.width} are not zero")
        return Signal(BITS, outputs)


@dataclass(frozen=True, slots=True, eq=False)
class Unpack:
    """Bits as numbers: bits to float32, which further steps take, or to int8 or uint8, which ends the chain."""

    NAME: ClassVar = "unpack"

    to: str = FLOATS
    """One of NUMBERS."""

    def after(self, place: str, before: Signal) -> Signal:
        """Return what the step gives; refuse what it does not take."""
        _takes(place, self.NAME, before, BITS)
        if self.to not in NUMBERS:
            raise ModelFormatError(f"{place}.to: {self.to!r} is none of {', '.join(NUMBERS)}")
        return Signal(self.to, before.width)


Step: TypeAlias = Rotation | WalshHadamard | Scale | Threshold | BitRotate | Gf2Map | Unpack


@dataclass(frozen=True, slots=True, eq=False)
class TransformDefinition:
    """A valid chain: constructing one checks it.

    Raises:
        ModelFormatError: a step does not take what is before it, or has a wrong shape or value.
    """

    input_form: str
    """One of INPUT_FORMS."""
    width: int
    """Numbers or bits of an input row."""
    steps: tuple[Step, ...]
    result: Signal = field(init=False)
    """What the last step gives."""

    def __post_init__(self) -> None:
        if self.input_form not in INPUT_FORMS:
            raise ModelFormatError(f"input: {self.input_form!r} is none of {', '.join(INPUT_FORMS)}")
        if type(self.width) is not int or not 0 < self.width <= MAX_NBITS:
            raise ModelFormatError(f"input: want 1 to {MAX_NBITS} columns, got {self.width!r}")
        if not isinstance(self.steps, tuple):
            raise ModelFormatError(f"steps: want a tuple of steps, got {type(self.steps).__name__}")
        if not 0 < len(self.steps) <= MAX_STEPS:
            raise ModelFormatError(f"steps: want 1 to {MAX_STEPS}, got {len(self.steps)}")
        signal = Signal(FLOATS if self.input_form == FLOATS else BITS, self.width)
        for index, step in enumerate(self.steps):
            _check_step(index, step)
            signal = step.after(f"steps[{index}]", signal)
        object.__setattr__(self, "result", signal)


def from_steps(*, input_form: str, width: int, steps: Sequence[Step]) -> TransformDefinition:
    """Return the chain of these steps; lists of numbers in them become float32 arrays.

    Raises:
        ModelFormatError: as for `TransformDefinition`.
    """
    if not isinstance(steps, Sequence):
        raise ModelFormatError(f"steps: want a sequence of steps, got {type(steps).__name__}")
    return TransformDefinition(input_form, width, tuple(_in_arrays(index, step) for index, step in enumerate(steps)))


def _in_arrays(index: int, step: Any) -> Step:
    if isinstance(step, Scale):
        return Scale(_floats(f"steps[{index}].factors", step.factors))
    if isinstance(step, Threshold):
        limits = step.thresholds
        return step if limits is None else Threshold(_floats(f"steps[{index}].thresholds", limits))
    if isinstance(step, Gf2Map):
        return Gf2Map(np.ascontiguousarray(part_array(f"steps[{index}].matrix", step.matrix)))
    _check_step(index, step)
    made: Step = step
    return made


def _check_step(index: int, step: object) -> None:
    if not isinstance(step, Step):
        raise ModelFormatError(f"steps[{index}]: a {type(step).__name__} is no step")


def _takes(place: str, name: str, before: Signal, form: str) -> None:
    if before.form != form:
        raise ModelFormatError(f"{place}: {name} takes {form}, but gets {before} from before it")


def _check_vector(name: str, array: NDArray[np.float32], width: int) -> None:
    if not isinstance(array, np.ndarray):
        raise ModelFormatError(f"{name}: want an array, got {type(array).__name__}")
    if array.shape != (width,) or array.dtype != np.float32:
        raise ModelFormatError(f"{name}: want float32 ({width},), got {array.dtype} {array.shape}")
    if not np.isfinite(array).all():
        raise ModelFormatError(f"{name}: NaN or infinity")


def _floats(name: str, values: ArrayLike) -> NDArray[np.float32]:
    array = part_array(name, values)
    if array.dtype.kind not in "iuf":
        raise ModelFormatError(f"{name}: want numbers, got {array.dtype} {array.shape}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return np.ascontiguousarray(array, dtype=np.float32)
