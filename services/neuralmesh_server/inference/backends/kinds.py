"""Every kind that a node serves: what executes its versions, and what that is called in receipts.

onnxruntime is imported with the first version that needs it: a node without one is the smaller and starts the sooner.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from neuralmesh_server.inference.backends import liam, liam_index, liam_transform, remote
from neuralmesh_server.inference.backends.onnx_build import KIND as ONNX
from neuralmesh_server.inference.backends.onnx_build import runtime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuralmesh_server.inference.backends.backend import Backend, Model
    from neuralmesh_server.inference.backends.ending import Ending
    from neuralmesh_server.inference.upstreams.connections import Connections


class LateOnnx:
    """Opens ONNX files; see neuralmesh_server.inference.backends.onnx."""

    def load(self, files: Mapping[str, Path], ending: Ending | None = None) -> Model:
        """Return the model in the version's one `.onnx` file, or in its one file of any name."""
        from neuralmesh_server.inference.backends.onnx import OnnxBackend  # noqa: PLC0415 - as above

        return OnnxBackend().load(files, ending)


def backends(connections: Connections) -> dict[str, Backend]:
    """Return the backend of every kind that this node serves; all of them read data and execute none of it."""
    return {
        ONNX: LateOnnx(),
        liam.KIND: liam.LiamBackend(),
        liam_index.KIND: liam_index.IndexBackend(),
        liam_transform.KIND: liam_transform.TransformBackend(),
        remote.KIND: remote.RemoteBackend(connections, asyncio.get_running_loop()),
    }


def runtimes() -> Mapping[str, str]:
    """Return what runs the versions of each kind here, as receipts say it."""
    kinds = (liam.KIND, liam_index.KIND, liam_transform.KIND)
    return {ONNX: runtime(), **dict.fromkeys(kinds, liam.runtime())}
