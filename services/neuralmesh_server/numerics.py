"""What computes versions of each kind in this process, as far as it can matter to a bit.

Plans of the labor array name it, and workers take only what they compute alike. It is known without running anything:
onnxruntime is not imported for it.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from neuralmesh_server.errors import NotSupportedError

EXACT, PINNED, UNVERIFIED = "exact", "pinned", "unverified"
"""How far numerics determine bytes: everywhere; with one library version and instruction set; not promised."""

ONNX = "onnx"
ONNX_PROVIDER = "CPUExecutionProvider"
LIAM_KINDS = ("liam.binary_index", "liam.binary_network", "liam.signal_transform")


@dataclass(frozen=True, slots=True)
class Numerics:
    """What computes a version; `level` is EXACT, PINNED or UNVERIFIED."""

    id: str
    level: str


def numerics(kind: str) -> Numerics:
    """Return what computes versions of a kind in this process.

    What LIAM computes has the same bits at every SIMD level, so its id is the digest of the kernel's self-test, which
    no level changes. onnxruntime chooses its kernels by the processor's features and splits work by threads.

    Raises:
        NotSupportedError: NOT_SUPPORTED: nothing here computes versions of that kind.
    """
    if kind in LIAM_KINDS:
        from liam_core import capabilities  # noqa: PLC0415 - starts the kernel, which plans do not need to be read

        return Numerics(f"liam {capabilities().self_test_digest}", EXACT)
    if kind == ONNX:
        machine = f"{platform.machine()} {cpu_features_digest()}"
        return Numerics(f"onnxruntime {onnxruntime_version()} {ONNX_PROVIDER} {machine} 1 thread", PINNED)
    raise NotSupportedError("NOT_SUPPORTED", f"versions of kind {kind!r} cannot be run by jobs", feature=kind)


def known_numerics() -> dict[str, str]:
    """Return the id of every kind that is computed here."""
    return {kind: numerics(kind).id for kind in (*LIAM_KINDS, ONNX)}


def onnxruntime_version() -> str:
    """Return the version of onnxruntime."""
    try:
        return metadata.version("onnxruntime")
    except metadata.PackageNotFoundError:  # a build under another name
        import onnxruntime  # noqa: PLC0415 - it takes memory

        return str(onnxruntime.__version__)


def cpu_features_digest() -> str:
    """Return 12 hexadecimal digits for the processor's features as the system lists them."""
    return hashlib.sha256(" ".join(_cpu_features()).encode()).hexdigest()[:12]


def _cpu_features() -> list[str]:
    """Return the features in order; nothing where the system lists none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    listed = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return sorted(next(listed, []))
