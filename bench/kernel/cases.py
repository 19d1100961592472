"""What a row of the kernel's table times in a round: for each case its limit, then its sides, one after the other."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.figures import turned
from bench.kernel.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bench.kernel.setting import KernelSetting

OURS = "liam_core"
PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Side:
    """Somebody's way to do a case's work.

    Attributes:
        name: Whose it is.
        call: Does it once.
        everywhere: It may use all processors.
    """

    name: str
    call: Callable[[], object]
    everywhere: bool = False


def no_limit() -> float:
    """Return that the processor's limit says nothing."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """Work that each side does.

    Attributes:
        name: The shape.
        work: How much it is, in the unit.
        unit: Unit of the work a second.
        sides: Who does it.
        limit: Returns the work a second that the processor can at most, measured at that moment.
    """

    name: str
    work: float
    unit: str
    sides: Sequence[Side]
    limit: Callable[[], float] = no_limit


def at_page(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that begins a page; NumPy's own arrays begin anywhere, and a vector may lie across two lines."""
    room = np.empty(array.nbytes + PAGE_BYTES, np.uint8)
    skip = -room.ctypes.data % PAGE_BYTES
    made: NDArray[Any] = room[skip : skip + array.nbytes].view(array.dtype).reshape(array.shape)
    made[...] = array
    return made


def pair(setting: KernelSetting, cases: Sequence[Case], number: int) -> list[Timing]:
    """Run a round: every side of every case, beside the limit of that moment."""
    samples = []
    for case in cases:
        limit = case.limit()
        for side in turned(case.sides, number):
            with setting.all_processors() if side.everywhere else nullcontext():
                processor, passed = setting.clock.time(side.call)
            seconds = passed if side.everywhere else processor
            samples.append(Timing(side.name, case.name, seconds, passed, case.work, case.unit, limit))
    return samples
