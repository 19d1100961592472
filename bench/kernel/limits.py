"""What this processor can at most, measured in the same run: what fractions in the kernel's table are fractions of.

`limits.c` does the work. A limit is the best of several short stretches by processor time, as the time of a call is
(`timing.py`). Memory is read where the caller says, so that it is of the data's kind.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SOURCE = Path(__file__).with_suffix(".c")
STRETCHES = 7
STRETCH_SECONDS = 0.004
AHEAD = (0, 512, 2048, 8192)
"""Bytes ahead of a read at which the next lines are asked for: the best of these is the memory's."""


class LimitError(RuntimeError):
    """The limits could not be compiled."""


class Limits:
    """The processor's limits; compiled when made.

    Args:
        folder: Where the library is built.

    Raises:
        LimitError: The C compiler is absent, or refuses.
    """

    def __init__(self, folder: Path) -> None:
        library = folder / f"limits-{os.getpid()}.so"
        folder.mkdir(parents=True, exist_ok=True)
        command = [os.environ.get("CC", "cc"), "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        try:
            built = subprocess.run(
                [*command, str(SOURCE), "-o", str(library)], capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise LimitError(f"{command[0]} does not run: {error}") from error
        if built.returncode:
            raise LimitError(f"{SOURCE.name} does not compile\n{built.stderr}")
        self._library = ctypes.CDLL(str(library))
        library.unlink()  # it stays loaded
        for name in ("limits_bit_pairs", "limits_tile_products", "limits_bit_products", "limits_float_adds"):
            function = getattr(self._library, name)
            function.argtypes, function.restype = [ctypes.c_uint64], ctypes.c_uint64
        self._library.limits_read.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
        self._library.limits_read.restype = ctypes.c_uint64

    @cached_property
    def supported(self) -> bool:
        """Whether this processor has the instructions that the limits are made of."""
        return bool(self._library.limits_supported())

    @cached_property
    def has_tiles(self) -> bool:
        """Whether this processor multiplies tiles of int8, and the system lets it."""
        return bool(self._library.limits_tiles_supported())

    def bit_pairs(self, *, tiles: bool = False) -> float:
        """Return pairs of bits a second in a product of signs, all in registers.

        Args:
            tiles: By products of tiles of int8; else by xor, population count and add, 512 bits wide.
        """
        if tiles and self.has_tiles:
            return self._rate(self._library.limits_tile_products)
        return self._rate(self._library.limits_bit_pairs)

    def bit_products(self) -> float:
        """Return multiplications in GF(2) a second by GFNI, all in registers."""
        return self._rate(self._library.limits_bit_products)

    def float_adds(self) -> float:
        """Return additions of float32 a second, all in registers."""
        return self._rate(self._library.limits_float_adds)

    def read(self, memory: NDArray[Any]) -> float:
        """Return the bytes a second that one processor reads from an array, from its beginning to its end."""
        if not self.supported:
            return 0.0
        rates = []
        for ahead in AHEAD:
            done, began = 0, time.thread_time()
            while not done or time.thread_time() - began < STRETCH_SECONDS:
                done += self._library.limits_read(memory.ctypes.data, memory.nbytes, ahead)
            rates.append(done / (time.thread_time() - began))
        return max(rates)

    def _rate(self, function: Callable[[int], int]) -> float:
        if not self.supported:
            return 0.0
        rounds = 1 << 10
        while _stretch(function, rounds)[1] < STRETCH_SECONDS:
            rounds *= 2
        stretches = [_stretch(function, rounds) for _ in range(STRETCHES)]
        return max(done / seconds for done, seconds in stretches)


def _stretch(function: Callable[[int], int], rounds: int) -> tuple[int, float]:
    began = time.thread_time()
    done = function(rounds)
    return done, time.thread_time() - began
