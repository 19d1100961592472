"""Trains the demo's binary network: bits in, bits between the layers, bits for weights.

Pixels become thermometer codes; the network is trained in floating point with the sign function replaced by its
straight-through estimator (Hubara, Courbariaux, Soudry, El-Yaniv, Bengio, "Binarized Neural Networks", 2016) and then
folded into what the kernel runs: weights by sign, batch normalisation into one integer threshold a unit. It is written
for a few thousand rows; it is no training library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """What `liam_core.write_binary_network` takes.

    Attributes:
        source: Feature that each input bit looks at, int32 (bits,).
        encoding_thresholds: A bit is set when its feature reaches this, float32 (bits,).
        hidden_weights: -1 or +1, int8 (units, bits).
        hidden_thresholds: A unit is +1 when its product reaches this, int32 (units,).
        head_weights: -1 or +1, int8 (classes, units).
        scale: Factor of each class's product, float32 (classes,).
        bias: Added to it, float32 (classes,).
    """

    source: NDArray[np.int32]
    encoding_thresholds: FloatArray
    hidden_weights: NDArray[np.int8]
    hidden_thresholds: NDArray[np.int32]
    head_weights: NDArray[np.int8]
    scale: FloatArray
    bias: FloatArray


def train(
    features: FloatArray,
    labels: NDArray[np.int64],
    *,
    levels: FloatArray,
    units: int = 512,
    epochs: int = 60,
    batch: int = 64,
    noise: float = 1.5,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> TrainedNetwork:
    """Train a network with one hidden layer.

    Args:
        features: float32 (rows, features).
        labels: int64 (rows,), from 0.
        levels: Thresholds of the thermometer code, the same for each feature, ascending.
        units: Hidden units.
        epochs: Passes over the rows.
        batch: Rows of a step.
        noise: Standard deviation of what is added to the features at each step, against overfitting.
        seed: Everything random follows from it.
        progress: Called after each epoch with the epochs done and the epochs in all.
    """
    random = np.random.default_rng(seed)
    width, classes = features.shape[1], int(labels.max()) + 1
    source = np.repeat(np.arange(width, dtype=np.int32), len(levels))
    thresholds = np.tile(levels.astype(np.float32), width)
    inputs = len(source)
    w1 = random.uniform(-1, 1, (inputs, units)).astype(np.float32)
    w2 = random.uniform(-1, 1, (units, classes)).astype(np.float32)
    bias1 = np.zeros(units, np.float32)
    bias2 = np.zeros(classes, np.float32)
    optimiser = _Adam([w1, w2, bias1, bias2], rate=0.003)
    scale1, scale2 = np.float32(1 / np.sqrt(inputs)), np.float32(1 / np.sqrt(units))
    targets = np.eye(classes, dtype=np.float32)[labels]
    steps = epochs * (len(features) // batch)
    for epoch in range(epochs):
        order = random.permutation(len(features))
        for start in range(0, len(features) - batch + 1, batch):
            rows = order[start : start + batch]
            jittered = features[rows] + random.normal(0, noise, (batch, width)).astype(np.float32)
            x = np.where(jittered[:, source] >= thresholds, np.float32(1), np.float32(-1))
            before = (x @ _sign(w1)) * scale1 + bias1
            active = _sign(before)
            scores = (active @ _sign(w2)) * scale2 * 4 + bias2
            scores -= scores.max(axis=1, keepdims=True)
            chances = np.exp(scores)
            chances /= chances.sum(axis=1, keepdims=True)
            error = (chances - targets[rows]) / np.float32(batch)
            back = (error @ _sign(w2).T) * scale2 * 4 * (np.abs(before) <= 1)
            optimiser.step(
                [
                    (x.T @ back) * scale1 * (np.abs(w1) <= 1),
                    (active.T @ error) * scale2 * 4 * (np.abs(w2) <= 1),
                    back.sum(axis=0),
                    error.sum(axis=0),
                ],
                remaining=1 - optimiser.steps / steps,
            )
            np.clip(w1, -1, 1, out=w1)
            np.clip(w2, -1, 1, out=w2)
        progress(epoch + 1, epochs)
    # before >= 0 is product >= -bias1 / scale1; the product is an integer.
    fold = np.clip(np.ceil(-bias1 / scale1), -inputs - 1, inputs + 1).astype(np.int32)
    return TrainedNetwork(
        source=source,
        encoding_thresholds=thresholds,
        hidden_weights=_sign(w1).T.astype(np.int8),
        hidden_thresholds=fold,
        head_weights=_sign(w2).T.astype(np.int8),
        scale=np.full(classes, scale2 * 4, np.float32),
        bias=bias2,
    )


def _sign(values: FloatArray) -> FloatArray:
    return np.where(values >= 0, np.float32(1), np.float32(-1))


class _Adam:
    """Kingma and Ba, "Adam", 2015, with a linearly falling rate."""

    def __init__(self, parameters: list[FloatArray], rate: float) -> None:
        self._parameters = parameters
        self._rate = rate
        self._mean = [np.zeros_like(parameter) for parameter in parameters]
        self._square = [np.zeros_like(parameter) for parameter in parameters]
        self.steps = 0

    def step(self, gradients: list[FloatArray], remaining: float) -> None:
        self.steps += 1
        rate = self._rate * remaining * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for index, gradient in enumerate(gradients):
            self._mean[index] += 0.1 * (gradient - self._mean[index])
            self._square[index] += 0.001 * (gradient * gradient - self._square[index])
            change = rate * self._mean[index] / (np.sqrt(self._square[index]) + 1e-8)
            self._parameters[index] -= change.astype(np.float32)
