"""Trains a binary network on the handwritten digits and exports it as Brevitas does.

Weights and activations are signs with the straight-through estimator, and every layer is normalised by batch, so that
what an import folds is what training left behind: float weights behind BipolarQuant, statistics, gammas of both signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from tests.qonnx.builder import Builder

WIDTHS = (64, 256, 129, 10)
EPSILON = 1e-5


@dataclass
class Trained:
    """Parameters by layer: weights (inputs, outputs), and gamma, beta, mean and variance (outputs,) of its norm."""

    weights: list[np.ndarray]
    norms: list[list[np.ndarray]]

    def export(self, batch: int) -> Builder:
        """Return the model: scaled pixels, signs, and for each layer turned weights, a product, a norm and signs."""
        made = Builder(batch, (1, 8, 8)).flatten().pair("Div", 16.0).pair("Mul", 2.0).pair("Sub", 1.0).bipolar()
        for index, (weights, norm) in enumerate(zip(self.weights, self.norms, strict=True)):
            if index:
                made.bipolar()
            outputs = weights.shape[1]
            quantised = made.node("BipolarQuant", [made.constant(weights.T), made.constant(1.0)], weights.T.shape)
            turned = made.node("Transpose", [quantised], weights.shape, perm=[1, 0])
            made.extend("MatMul", turned, shape=(batch, outputs)).norm(*norm, epsilon=EPSILON)
        return made


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the images, float32 (1797, 1, 8, 8) from 0 to 16, and their labels."""
    images, labels = load_digits(return_X_y=True)
    return images.astype(np.float32).reshape(-1, 1, 8, 8), labels


@threadpool_limits.wrap(limits=1)  # the matrices are small, and threads would wait for one another
def train(images: np.ndarray, labels: np.ndarray, epochs: int = 25, seed: int = 1) -> Trained:
    """Train on images with pixels from 0 to 16."""
    random = np.random.default_rng(seed)
    weights = [random.uniform(-1, 1, shape) for shape in pairwise(WIDTHS)]
    norms = [[random.choice([-1.0, 1.0], n), np.zeros(n), np.zeros(n), np.ones(n)] for n in WIDTHS[1:]]
    parameters = weights + [part for norm in norms for part in norm[:2]]
    moments = [[np.zeros_like(parameter) for parameter in parameters] for _ in range(2)]
    targets = np.eye(10)[labels]
    for _ in range(epochs * (len(images) // 64)):
        rows = random.integers(0, len(images), 64)
        pixels = images[rows].reshape(64, -1) + random.normal(0, 1, (64, WIDTHS[0]))
        for index, gradient in enumerate(_gradients(weights, norms, pixels / 8 - 1, targets[rows])):
            first, second = (kind[index] for kind in moments)
            first += 0.1 * (gradient - first)
            second += 0.01 * (gradient**2 - second)
            parameters[index] -= 0.01 * first / (np.sqrt(second) + 1e-8)
        for latent in weights:
            np.clip(latent, -1, 1, out=latent)
    return Trained(weights, norms)


def _gradients(weights, norms, pixels, targets):
    """Return the gradients of weights, then of gamma and beta by layer; keeps the running statistics."""
    kept = []
    values = np.where(pixels >= 0, 1.0, -1.0)
    for latent, norm in zip(weights, norms, strict=True):
        gamma, beta, mean, variance = norm
        sums = values @ np.where(latent >= 0, 1.0, -1.0)
        mean += 0.1 * (sums.mean(axis=0) - mean)
        variance += 0.1 * (sums.var(axis=0) - variance)
        deviation = np.sqrt(sums.var(axis=0) + EPSILON)
        normal = (sums - sums.mean(axis=0)) / deviation
        out = normal * gamma + beta
        kept.append((values, deviation, normal, out))
        values = np.where(out >= 0, 1.0, -1.0)
    scores = kept[-1][3]
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    back = (chances / chances.sum(axis=1, keepdims=True) - targets) / len(targets)
    of_weights, of_norms = [], []
    for layer in range(len(weights) - 1, -1, -1):
        before, deviation, normal, out = kept[layer]
        if layer < len(weights) - 1:
            back = back * (np.abs(out) <= 1)
        of_norms = [(back * normal).sum(axis=0), back.sum(axis=0), *of_norms]
        inner = back * norms[layer][0]
        of_sums = (inner - inner.mean(axis=0) - normal * (inner * normal).mean(axis=0)) / deviation
        of_weights = [before.T @ of_sums, *of_weights]
        back = of_sums @ np.where(weights[layer] >= 0, 1.0, -1.0).T
    return of_weights + of_norms
