"""What the kernel runs on: the SIMD level in use, what the machine has, and the self-test's digest."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from liam_core.errors import KernelError
from liam_core.kernel import ffi, lib

__all__ = ["Capabilities", "capabilities", "set_level"]

LEVELS: Final[tuple[str, ...]] = tuple(
    ffi.string(lib.liam_level_name(level)).decode("ascii") for level in range(lib.LIAM_LEVELS)
)
"""The names of all levels, each a superset of the one before; a level's number is its position."""

_FEATURES: Final[tuple[tuple[str, int], ...]] = (
    ("avx2", lib.LIAM_CPU_AVX2),
    ("avx512f", lib.LIAM_CPU_AVX512F),
    ("avx512bw", lib.LIAM_CPU_AVX512BW),
    ("avx512vl", lib.LIAM_CPU_AVX512VL),
    ("avx512dq", lib.LIAM_CPU_AVX512DQ),
    ("avx512_vpopcntdq", lib.LIAM_CPU_AVX512VPOPCNTDQ),
    ("gfni", lib.LIAM_CPU_GFNI),
    ("avx512_vbmi", lib.LIAM_CPU_AVX512VBMI),
    ("amx_int8", lib.LIAM_CPU_AMXINT8),
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A snapshot of the kernel's state."""

    level: str
    """The level in use: scalar, avx2, avx512, gfni or amx."""
    forced: bool
    """Whether the environment variable LIAM_SIMD chose it at start-up."""
    supported: tuple[str, ...]
    """The levels that this machine runs, in ascending order."""
    features: tuple[str, ...]
    """The CPU features found that the kernel knows of."""
    self_test_digest: str
    """16 hexadecimal digits over the outputs of the level in use for a fixed input; equal at every level."""


def capabilities() -> Capabilities:
    """Return the kernel's state now. Runs the self-test of the level in use, which takes microseconds."""
    level: int = lib.liam_level()
    found: int = lib.liam_cpu_features()
    digest = ffi.new("uint64_t *")
    if lib.liam_self_test(level, digest) != lib.LIAM_OK:
        raise KernelError(f"the self-test failed at level {LEVELS[level]}: digest {digest[0]:016x}")
    return Capabilities(
        level=LEVELS[level],
        forced=bool(lib.liam_level_forced()),
        supported=tuple(name for index, name in enumerate(LEVELS) if lib.liam_level_supported(index)),
        features=tuple(name for name, bit in _FEATURES if found & bit),
        self_test_digest=f"{digest[0]:016x}",
    )


@contextmanager
def set_level(level: str) -> Iterator[None]:
    """Put a level into use, for the whole process, until the context ends. For tests and benchmarks.

    Raises:
        ValueError: the level is unknown, or this machine cannot run it.
    """
    before: int = lib.liam_level()
    if level not in LEVELS or lib.liam_set_level(LEVELS.index(level)) != lib.LIAM_OK:
        raise ValueError(f"level: this machine has no SIMD level {level!r}")
    try:
        yield
    finally:
        lib.liam_set_level(before)
