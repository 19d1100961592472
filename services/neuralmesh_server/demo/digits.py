"""The demo's data and its three versions: the UCI handwritten digits that ship inside scikit-learn.

All versions have one signature: `input` FP32 [-1, 64] to `label` INT64 [-1] and `scores` FP32 [-1, 10].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from liam_core import write_binary_network
from neuralmesh_server.demo.binary_training import TrainedNetwork, train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SEED = 7
FEATURES = 64
CLASSES = 10
LEVELS = np.arange(1, 16, 2, dtype=np.float32)
"""Pixels run from 0 to 16; eight levels a pixel make 512 bits."""


@dataclass(frozen=True, slots=True)
class Digits:
    """A stratified split: two thirds to train, one third held out. Images float32 (n, 64), labels int64 (n,)."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    held_out_images: NDArray[np.float32]
    held_out_labels: NDArray[np.int64]


def load() -> Digits:
    """Return the digits in the split that `SEED` gives."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=1 / 3, stratify=labels, random_state=SEED)
    return Digits(
        train_images=parts[0].astype(np.float32),
        train_labels=parts[2].astype(np.int64),
        held_out_images=np.ascontiguousarray(parts[1], dtype=np.float32),
        held_out_labels=parts[3].astype(np.int64),
    )


def write_mlp(digits: Digits, path: Path) -> None:
    """Train scikit-learn's multilayer perceptron and export it to ONNX under the demo's signature."""
    model = make_pipeline(
        MinMaxScaler(),
        MLPClassifier(hidden_layer_sizes=(64,), alpha=1e-3, max_iter=400, tol=1e-3, random_state=SEED),
    )
    model.fit(digits.train_images, digits.train_labels)
    graph = to_onnx(
        model,
        initial_types=[("input", FloatTensorType([None, FEATURES]))],
        final_types=[("label", Int64TensorType([None])), ("scores", FloatTensorType([None, CLASSES]))],
        options={"zipmap": False},
        target_opset=17,
    )
    path.write_bytes(graph.SerializeToString())


def train_network(digits: Digits, progress: Callable[[int, int], None]) -> TrainedNetwork:
    """Train the packed binary network."""
    return train(
        digits.train_images,
        digits.train_labels,
        levels=LEVELS,
        units=256,
        epochs=60,
        noise=1.5,
        seed=SEED,
        progress=progress,
    )


def perturb(network: TrainedNetwork, share: float) -> TrainedNetwork:
    """Return the network with a share of its hidden weights flipped: a valid file that predicts badly."""
    flip = np.random.default_rng(SEED).random(network.hidden_weights.shape) < share
    return replace(network, hidden_weights=np.where(flip, -network.hidden_weights, network.hidden_weights))


def write_network(network: TrainedNetwork, path: Path) -> None:
    """Write a network as the kernel's safetensors profile."""
    write_binary_network(
        path,
        features=FEATURES,
        source=network.source,
        encoding_thresholds=network.encoding_thresholds,
        hidden=[(network.hidden_weights, network.hidden_thresholds)],
        head_weights=network.head_weights,
        scale=network.scale,
        bias=network.bias,
    )
