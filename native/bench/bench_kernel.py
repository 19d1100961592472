"""Measures the kernel beside NumPy: `python native/bench/bench_kernel.py [--rounds N] [--level LEVEL]`.

Kernel and NumPy take turns in every round, so that a slow moment of the machine hits both. Every round is
printed, then the medians. NumPy computes the same results: packing by `packbits`, products by BLAS on float32
+1 and -1.
"""
# ruff: noqa: INP001 - a command, not a package

import argparse
import platform
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median

import numpy as np

from liam_core import BinaryNetwork, XnorWeights, capabilities, from_signs, pack, set_level, unpack

ROUND_SECONDS = 0.2


@dataclass(frozen=True)
class Case:
    """One operation, done by the kernel and by NumPy, and how many units of work a call is."""

    name: str
    kernel: Callable[[], object]
    numpy: Callable[[], object]
    work: float
    unit: str


def seconds_per_call(call: Callable[[], object]) -> float:
    """Return the mean time of a call over about ROUND_SECONDS."""
    began = time.perf_counter()
    call()
    repeats = max(3, int(ROUND_SECONDS / max(time.perf_counter() - began, 1e-7)))
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


def packing_cases(random: np.random.Generator) -> list[Case]:
    """Return packing and unpacking of a 1024 x 1024 matrix."""
    side = 1024
    x = random.standard_normal((side, side)).astype(np.float32)
    thresholds = random.standard_normal(side).astype(np.float32)
    bits = pack(x)
    octets = bits.view(np.uint8)
    work, unit = x.size / 1e9, "Gbit/s"

    def packbits(values: np.ndarray) -> object:
        return np.packbits(values, axis=-1, bitorder="little")

    return [
        Case("pack f32 1024^2", lambda: pack(x), lambda: packbits(x >= 0), work, unit),
        Case("pack f32 thresholds", lambda: pack(x, thresholds), lambda: packbits(x >= thresholds), work, unit),
        Case(
            "unpack uint8 1024^2",
            lambda: unpack(bits, side, np.uint8),
            lambda: np.unpackbits(octets, axis=-1, bitorder="little"),
            work,
            unit,
        ),
    ]


def product_cases(random: np.random.Generator) -> list[Case]:
    """Return XNOR products of n = k = 1024 for one row, a small batch and a square."""
    nbits = 1024
    w = random.choice(np.array([-1, 1], np.int8), (nbits, nbits))
    weights, w_float = XnorWeights(pack(w), nbits), np.ascontiguousarray(w.T.astype(np.float32))
    cases = []
    for m in (1, 64, 1024):
        a = random.choice(np.array([-1, 1], np.int8), (m, nbits))
        packed, a_float = pack(a), a.astype(np.float32)
        work = m * nbits * nbits / 1e12

        def kernel(packed: np.ndarray = packed) -> object:
            return weights.dot(packed)

        def blas(a_float: np.ndarray = a_float) -> object:
            return a_float @ w_float

        cases.append(Case(f"xnor dot {m}x1024x1024", kernel, blas, work, "Tbit/s"))
    return cases


def network_cases(random: np.random.Generator) -> list[Case]:
    """Return whole 512-256-10 networks, with one bit per feature and with a shuffled thermometer code."""
    features, hidden, classes = 512, 256, 10
    signs = np.array([-1, 1], np.int8)
    hidden_weights = random.choice(signs, (hidden, features))
    hidden_thresholds = random.integers(-16, 17, hidden)
    head = random.choice(signs, (classes, hidden))
    limits = random.standard_normal(features).astype(np.float32)
    scale, bias = random.standard_normal((2, classes)).astype(np.float32)
    shared = {
        "encoding_thresholds": limits,
        "hidden": [(hidden_weights, hidden_thresholds)],
        "head_weights": head,
        "scale": scale,
        "bias": bias,
    }
    net = BinaryNetwork(from_signs(features=features, **shared))
    shuffled = random.permutation(np.repeat(np.arange(64), 8))
    thermometer = BinaryNetwork(from_signs(features=64, source=shuffled, **shared))
    hidden_float = np.ascontiguousarray(hidden_weights.T.astype(np.float32))
    head_float = np.ascontiguousarray(head.T.astype(np.float32))

    def in_numpy(values: np.ndarray) -> object:
        first = np.where(values >= limits, np.float32(1), np.float32(-1))
        second = np.where(first @ hidden_float >= hidden_thresholds, np.float32(1), np.float32(-1))
        scores = scale * (second @ head_float) + bias
        return scores.argmax(axis=1), scores

    cases = []
    for rows in (1, 64):
        x = random.standard_normal((rows, features)).astype(np.float32)
        few = random.standard_normal((rows, 64)).astype(np.float32)
        raw = x.tobytes()

        def run(x: np.ndarray = x) -> object:
            return net.run(x)

        def run_bytes(raw: bytes = raw, rows: int = rows) -> object:
            return net.run_bytes(raw, rows)

        def run_few(few: np.ndarray = few) -> object:
            return thermometer.run(few)

        def numpy_run(x: np.ndarray = x) -> object:
            return in_numpy(x)

        def numpy_few(few: np.ndarray = few) -> object:
            return in_numpy(few[:, shuffled])

        work, unit = rows / 1e6, "Mrow/s"
        cases.append(Case(f"network run, {rows} rows", run, numpy_run, work, unit))
        cases.append(Case(f"network run_bytes, {rows} rows", run_bytes, numpy_run, work, unit))
        cases.append(Case(f"thermometer run, {rows} rows", run_few, numpy_few, work, unit))
    return cases


def main() -> None:
    """Print every round and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--level", choices=capabilities().supported, help="SIMD level, the best by default")
    options = parser.parse_args()

    random = np.random.default_rng(0)
    cases = packing_cases(random) + product_cases(random) + network_cases(random)
    out = sys.stdout
    with set_level(options.level) if options.level else nullcontext():
        out.write(f"LIAM at level {capabilities().level}, NumPy {np.__version__}, ")
        out.write(f"Python {platform.python_version()}, {platform.machine()}\n")
        times: dict[str, list[tuple[float, float]]] = {case.name: [] for case in cases}
        for number in range(1, options.rounds + 1):
            for case in cases:
                pair = seconds_per_call(case.kernel), seconds_per_call(case.numpy)
                times[case.name].append(pair)
                kernel, numpy = (f"{seconds * 1e6:10.2f} us" for seconds in pair)
                out.write(f"round {number}  {case.name:28}  {kernel}  numpy {numpy}\n")
        out.write("medians\n")
        for case in cases:
            mine, theirs = (median(column) for column in zip(*times[case.name], strict=True))
            rate = f"{case.work / mine:8.2f} {case.unit}"
            out.write(
                f"{case.name:28}  {mine * 1e6:10.2f} us  {rate:16}  "
                f"numpy {theirs * 1e6:10.2f} us  {theirs / mine:6.1f}x\n"
            )


if __name__ == "__main__":
    main()
