"""qonnx's own executor, and rows that lie on a network's thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

if TYPE_CHECKING:
    from liam_core import NetworkDefinition


def execute(model: ModelProto, rows: np.ndarray) -> np.ndarray:
    """Return the model's output for as many rows as its batch holds, or for several batches of them."""
    wrapped = ModelWrapper(model)
    constants = {tensor.name for tensor in wrapped.graph.initializer}  # which exporters may list as inputs too
    (given,), (made,) = [one for one in wrapped.graph.input if one.name not in constants], wrapped.graph.output
    batch, *shape = (size.dim_value for size in given.type.tensor_type.shape.dim)
    parts = rows.reshape(-1, batch, *shape)
    return np.concatenate([execute_onnx(wrapped, {given.name: part})[made.name] for part in parts])


def with_rows(model: ModelProto, rows: int) -> ModelProto:
    """Return a model of an open batch for a batch of so many rows, with the shapes that the executor asks for."""
    fixed = ModelProto.FromString(model.SerializeToString())
    del fixed.graph.value_info[:]
    for given in (*fixed.graph.input[:1], *fixed.graph.output):
        given.type.tensor_type.shape.dim[0].dim_value = rows
    return ModelWrapper(fixed).transform(InferShapes()).model


def rows_for(definition: NetworkDefinition, count: int, seed: int) -> np.ndarray:
    """Return rows of which a part are thresholds of the input, or their neighbours, and some are enormous."""
    random = np.random.default_rng(seed)
    limits = definition.encoding.thresholds
    rows = (random.standard_normal((count, len(limits))) * 2).astype(np.float32)
    greatest = np.finfo(np.float32).max
    for share, values in (
        (0.15, limits),
        (0.15, np.nextafter(limits, -greatest)),
        (0.15, np.nextafter(limits, greatest)),
        (0.02, np.full_like(limits, greatest)),
        (0.02, np.full_like(limits, -greatest)),
        (0.02, np.zeros_like(limits)),
        (0.02, -np.zeros_like(limits)),
    ):
        rows = np.where(random.random(rows.shape) < share, values, rows)
    return rows.astype(np.float32)
