"""When requests are meant to be sent, decided before the first one is: the server's slowness must not thin them out.

A schedule is a float64 array of seconds from the start, ascending. It is not what happened; `record` keeps that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def uniform(rate: float, seconds: float) -> NDArray[np.float64]:
    """Return times at equal distances: `rate` a second, for `seconds`; at least one.

    Raises:
        ValueError: The rate or the duration is not positive.
    """
    _check(rate, seconds)
    return np.arange(max(1, round(rate * seconds)), dtype=np.float64) / rate


def poisson(rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """Return times whose distances are exponential, as independent callers make them; the same seed, the same times.

    There are as many as `uniform` gives, scattered evenly over the duration: a Poisson process of known count. So two
    runs of one rate send the same number of requests.

    Raises:
        ValueError: The rate or the duration is not positive.
    """
    _check(rate, seconds)
    count = max(1, round(rate * seconds))
    return np.sort(np.random.default_rng(seed).random(count)) * seconds


def _check(rate: float, seconds: float) -> None:
    if not (0 < rate < float("inf") and 0 < seconds < float("inf")):
        raise ValueError(f"a rate of {rate} for {seconds} seconds is no schedule")
