"""Random networks of the whole subset, from a seed: odd widths, falling and constant channels, every kind of head."""

from __future__ import annotations

import numpy as np

from tests.qonnx.builder import Builder

WIDTHS = (1, 2, 3, 7, 31, 33, 63, 64, 65, 100, 127, 128, 129, 200)
TAILS = ("none", "scale", "scale and bias", "norm", "tensor norm", "reversed", "bias", "two norms")


def random_network(seed: int, batch: int) -> Builder:
    """Return a network with up to four layers."""
    random = np.random.default_rng(seed)
    made = _input(random, batch, seed)
    for _ in range(random.integers(0, 4)):
        _layer(made, random, int(random.choice(WIDTHS)))
        _arithmetic(made, random)
        _activation(made, random)
    _layer(made, random, int(random.choice((1, 2, 10, 17))))
    tail(made, random, str(random.choice(TAILS)))
    if random.random() < 0.2:
        made.extend("Identity")
    return made


def _input(random: np.random.Generator, batch: int, seed: int) -> Builder:
    if random.random() < 0.4:
        made = Builder(batch, (int(random.integers(1, 3)), 5, 7), seed)
        made.pair("Mul", 2.0).pair("Sub", random.standard_normal((1, made.shape[0], 1, 1)))
        if random.random() < 0.5:
            made.norm(*_norm(random, made.shape[0], zeros=False))
        return _quantise_input(made.flatten(), random)
    made = Builder(batch, (int(random.choice(WIDTHS)),), seed)
    if random.random() < 0.8:
        _arithmetic(made, random, zeros=False)  # the greatest floats become infinite, and infinity times 0 is NaN
    return _quantise_input(made, random)


def _quantise_input(made: Builder, random: np.random.Generator) -> Builder:
    if random.random() < 0.3:
        return made.threshold(random.standard_normal((made.width, 1)))
    return made.bipolar(random.choice([1.0, 0.5, -4.0]))


def _layer(made: Builder, random: np.random.Generator, outputs: int) -> None:
    scale = random.choice([1.0, 0.25, -2.0])
    form = random.integers(0, 4)
    if form == 0:
        made.matmul(outputs, scale)
    elif form == 1:
        made.matmul_of_transposed(outputs, 2.0 ** random.integers(-3, 3, (outputs, 1)))
    elif form == 2:
        made.gemm(outputs, random.integers(-9, 9, outputs) / 8, scale, transposed=bool(random.integers(0, 2)))
    else:
        made.gemm(outputs, None, scale)


def _arithmetic(made: Builder, random: np.random.Generator, *, zeros: bool = True) -> None:
    width = made.width
    for _ in range(random.integers(0, 4)):
        step = random.integers(0, 6)
        values = random.standard_normal(width if random.random() < 0.7 else 1)
        if step == 0:
            made.norm(*_norm(random, width, zeros=zeros), epsilon=float(random.choice([1e-5, 1e-3, 1e4])))
        elif step == 1:
            made.pair("Mul", np.where(values == 0, 1, values), first=bool(random.integers(0, 2)))
        elif step == 2:
            made.pair("Add", values, first=bool(random.integers(0, 2)))
        elif step == 3:
            made.pair("Sub", values, first=bool(random.integers(0, 2)))
        elif step == 4:
            made.pair("Div", np.where(np.abs(values) < 0.1, 1, values))
        else:
            made.pair("Add", values * 30)


def _norm(random: np.random.Generator, width: int, *, zeros: bool = True) -> tuple[np.ndarray, ...]:
    """Return gamma, of which a half is negative and some zero, beta, mean and variance."""
    gamma = random.standard_normal(width) * random.choice([0.0 if zeros else 2.0, 1.0, 1.0, 5.0], width)
    return gamma, random.standard_normal(width), random.standard_normal(width) * 4, random.random(width) * 60 + 1e-3


def _activation(made: Builder, random: np.random.Generator) -> None:
    if random.random() < 0.3:
        made.threshold(random.standard_normal((made.width if random.random() < 0.5 else 1, 1)) * 3)
        return
    made.bipolar(random.choice([1.0, 2.0, -0.5]))
    if random.random() < 0.3:
        made.pair("Mul", random.choice([2.0, -1.0, 0.5]))


def tail(made: Builder, random: np.random.Generator, form: str) -> None:
    """Add what makes scores of the last products."""
    width = made.width
    a, b, c, d = random.standard_normal((4, width))
    if form in {"scale", "scale and bias"}:
        made.pair("Mul", a)
    if form in {"scale and bias", "bias"}:
        made.pair("Add", b)
    if form in {"norm", "two norms"}:
        made.norm(*_norm(random, width))
    if form == "two norms":
        made.norm(*_norm(random, width))
    if form == "tensor norm":
        made.pair("Sub", b[:1]).pair("Div", abs(c[:1]) + 1).pair("Mul", a[:1]).pair("Add", d[:1])
    if form == "reversed":
        made.pair("Sub", b, first=False)
