"""The rows of the speed table, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rows.against_empty import AgainstEmpty
from bench.rows.against_mlserver import AgainstMlserver
from bench.rows.against_triton import AgainstTriton
from bench.rows.batching import Batching
from bench.rows.growth import Growth
from bench.rows.large_tensor import LargeTensor
from bench.rows.onnx_row import OnnxRow
from bench.rows.python_client import PythonClient
from bench.rows.recording import Recording
from bench.rows.starting import Starting
from bench.rows.streams import Streams
from bench.rows.swaps import Swaps
from bench.rows.workers import Workers

if TYPE_CHECKING:
    from bench.row import Row

ROWS: tuple[type[Row], ...] = (
    AgainstEmpty,
    AgainstMlserver,
    AgainstTriton,
    OnnxRow,
    Recording,
    LargeTensor,
    PythonClient,
    Batching,
    Streams,
    Workers,
    Swaps,
    Growth,
    Starting,
)
