"""Kind `onnx` as receipts name what runs it, without importing onnxruntime."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from pathlib import Path

from liam_core import capabilities

KIND = "onnx"
PROVIDER = "CPUExecutionProvider"


def runtime() -> str:
    """Return what runs versions of this kind here: the same text stands for the same bits on the same inputs.

    onnxruntime chooses its kernels by the processor's features, so they are part of it.
    """
    features = hashlib.sha256(" ".join(_cpu_features()).encode()).hexdigest()[:12]
    machine = f"{platform.machine()} {capabilities().level} {features}"
    return f"onnxruntime {_version()} {PROVIDER} {machine}"


def _version() -> str:
    try:
        return metadata.version("onnxruntime")
    except metadata.PackageNotFoundError:  # a build under another name
        import onnxruntime  # noqa: PLC0415 - it takes memory

        return str(onnxruntime.__version__)


def _cpu_features() -> list[str]:
    """Return the processor's features as the system lists them, in order; nothing where it lists none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    listed = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return sorted(next(listed, []))
