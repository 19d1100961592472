"""Work divided among threads: which part each takes, and running them. The kernel releases the GIL in every call."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

__all__ = ["in_threads", "shares"]

_Result = TypeVar("_Result")


def shares(total: int, unit: int, threads: int) -> list[range]:
    """Return `range(total)` as at most `threads` ranges, at least one, that begin at multiples of `unit`."""
    units = -(-total // unit)
    parts = max(1, min(units, threads))
    ends = [min(total, units * part // parts * unit) for part in range(parts + 1)]
    return [range(start, stop) for start, stop in pairwise(ends)]


def in_threads(call: Callable[..., _Result], arguments: Sequence[tuple[Any, ...]]) -> list[_Result]:
    """Return the results of `call` with each of the arguments, the first in this thread and each other in its own."""
    first, *others = arguments
    if not others:
        return [call(*first)]
    with ThreadPoolExecutor(len(others)) as pool:
        futures = [pool.submit(call, *other) for other in others]
        return [call(*first), *(future.result() for future in futures)]
