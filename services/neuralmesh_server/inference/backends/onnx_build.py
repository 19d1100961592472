"""Kind `onnx` as receipts name what runs it, without importing onnxruntime."""

from __future__ import annotations

import platform

from liam_core import capabilities
from neuralmesh_server import numerics

KIND = numerics.ONNX
PROVIDER = numerics.ONNX_PROVIDER


def runtime() -> str:
    """Return what runs versions of this kind here: the same text stands for the same bits on the same inputs.

    onnxruntime chooses its kernels by the processor's features, so they are part of it.
    """
    machine = f"{platform.machine()} {capabilities().level} {numerics.cpu_features_digest()}"
    return f"onnxruntime {numerics.onnxruntime_version()} {PROVIDER} {machine}"
