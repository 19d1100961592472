"""What the kernel must compute, in plain NumPy over unpacked +1 and -1, and random networks to compute it on.

Independent of the package under test: no packed words, float64 inner products (exact here), and the documented order
of float32 operations for scores.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Signs = NDArray[np.int8]


@dataclass
class Network:
    """The arguments of `write_binary_network`, unpacked."""

    features: int
    source: NDArray[np.int32]
    encoding_thresholds: NDArray[np.float32]
    hidden: list[tuple[Signs, NDArray[np.int32]]]
    head_weights: Signs
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments that describe this network."""
        return dict(vars(self))

    def scores(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (rows, classes)."""
        signs = np.where(x[:, self.source] >= self.encoding_thresholds, 1.0, -1.0)
        for weights, thresholds in self.hidden:
            signs = np.where(signs @ weights.T.astype(np.float64) >= thresholds, 1.0, -1.0)
        dots = (signs @ self.head_weights.T.astype(np.float64)).astype(np.float32)
        return self.scale * dots + self.bias


def linear(x: NDArray[np.float32], weights: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what `liam_linear.h` says of a layer of floats, by float32 operations that each round once."""
    sums = np.zeros((4, len(x), weights.shape[1]), np.float32)
    with np.errstate(all="ignore"):
        for k in range(weights.shape[0]):
            sums[k % 4] += x[:, k, np.newaxis] * weights[k]
        y = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + bias
    y.view(np.uint32)[np.isnan(y)] = 0x7FC00000
    return y


@dataclass
class Maker:
    """Makes random networks and inputs from one seed."""

    seed: int
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def signs(self, *shape: int) -> Signs:
        """Return random +1 and -1."""
        return self.random.choice(np.array([-1, 1], dtype=np.int8), shape)

    def network(self, features: int, *widths: int, bits: int | None = None) -> Network:
        """Return a network of hidden layers and a head with these widths; `bits` of random source if given."""
        inputs = features if bits is None else bits
        source = np.arange(features) if bits is None else self.random.integers(0, features, bits)
        hidden = []
        nbits = inputs
        for width in widths[:-1]:
            thresholds = self.random.integers(-(nbits**0.5), nbits**0.5 + 1, width)
            hidden.append((self.signs(width, nbits), thresholds.astype(np.int32)))
            nbits = width
        return Network(
            features=features,
            source=source.astype(np.int32),
            encoding_thresholds=self.random.standard_normal(inputs).astype(np.float32),
            hidden=hidden,
            head_weights=self.signs(widths[-1], nbits),
            scale=self.random.standard_normal(widths[-1]).astype(np.float32),
            bias=self.random.standard_normal(widths[-1]).astype(np.float32),
        )

    def rows(self, network: Network, count: int) -> NDArray[np.float32]:
        """Return inputs, some NaN, some equal to a threshold."""
        x = self.random.standard_normal((count, network.features)).astype(np.float32)
        x[self.random.random(x.shape) < 0.02] = np.nan
        picks = self.random.integers(0, len(network.source), count)
        x[np.arange(count), network.source[picks]] = network.encoding_thresholds[picks]
        return x
