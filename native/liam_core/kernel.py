"""The loaded C kernel: initialised once at import, and how its statuses become exceptions.

Everything else in the package reaches C through `lib` and `ffi` from here, so nothing runs on a kernel whose
level is not the wanted one or whose self-test failed.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from liam_core._liam import ffi, lib
from liam_core.errors import KernelError

__all__ = ["ALIGNMENT", "MAX_NBITS", "aligned_bytes", "call", "ffi", "lib", "pointer", "status_text", "workspace"]

ABI_VERSION: Final = 3
ALIGNMENT: Final[int] = lib.LIAM_ALIGNMENT
MAX_NBITS: Final[int] = lib.LIAM_MAX_NBITS


_kept: Final = threading.local()


def status_text(status: int) -> str:
    """Return the kernel's sentence for one of its statuses."""
    text: bytes = ffi.string(lib.liam_status_text(status))
    return text.decode("ascii")


def call(what: str, status: int) -> None:
    """Raise `ValueError` unless `status` is OK. Callers have validated, so `what` names the whole call."""
    if status != lib.LIAM_OK:
        raise ValueError(f"{what}: {status_text(status)}")


pointer: Final[Callable[[str, NDArray[Any]], Any]] = ffi.from_buffer
"""Returns an array's memory as a C array of a type; it lives as long as the returned object."""


def aligned_bytes(size: int) -> NDArray[np.uint8]:
    """Return `size` bytes that start on a multiple of `ALIGNMENT`."""
    memory = np.empty(size + ALIGNMENT, dtype=np.uint8)
    skip = -memory.ctypes.data % ALIGNMENT
    return memory[skip : skip + size]


def workspace(size: int) -> Any:
    """Return at least `size` bytes for one call to work in: the calling thread's own, kept for its next call."""
    held: NDArray[np.uint8] | None = getattr(_kept, "memory", None)
    if held is None or len(held) < size:
        held = _kept.memory = aligned_bytes(size)
    return ffi.from_buffer(held)


def _initialise() -> None:
    if lib.liam_abi_version() != ABI_VERSION:
        raise KernelError(f"liam_core wants kernel ABI {ABI_VERSION}, the extension has {lib.liam_abi_version()}")
    status = lib.liam_init()
    if status == lib.LIAM_ERR_UNSUPPORTED:
        names = [ffi.string(lib.liam_level_name(level)).decode("ascii") for level in range(lib.LIAM_LEVELS)]
        known = ", ".join(name for level, name in enumerate(names) if lib.liam_level_supported(level))
        raise KernelError(f"LIAM_SIMD={os.environ.get('LIAM_SIMD')!r}: this machine runs the SIMD levels {known}")
    if status != lib.LIAM_OK:
        raise KernelError(f"the LIAM kernel failed to start: {status_text(status)}")


_initialise()
