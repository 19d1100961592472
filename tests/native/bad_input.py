"""Every public function of the kernel's package with good arguments, and for each argument the bad ones of its kind."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import liam_core
from liam_core import gf2, steps
from liam_core.definition import Encoding, Head, HiddenLayer
from liam_core.index_definition import Rescoring

HUGE = 2**80


@dataclass(frozen=True)
class Argument:
    """A good value, and the names by which a message may call it, if not by the parameter's."""

    good: Any
    called: str = ""

    def bad(self) -> Iterator[tuple[str, Any]]:
        """Yield values that are wrong by themselves, each with a word for it."""
        raise NotImplementedError

    def unfit(self) -> Iterator[tuple[str, Any]]:
        """Yield values that are good ones elsewhere, but do not fit the other arguments."""
        return iter(())


@dataclass(frozen=True)
class Array(Argument):
    """An array that is taken as it lies in memory."""

    width: bool = True
    """Whether another length of the last axis is an error."""
    finite: bool = False
    axes: bool = True
    """Whether more axes are an error."""
    layout: bool = True
    """Whether it has to lie in memory without gaps, and aligned; what is copied does not."""
    aligned: bool = True

    def bad(self) -> Iterator[tuple[str, Any]]:
        good = self.good
        yield "a list", good.tolist()
        yield "nothing but a number", 3
        yield "text", "text"
        yield "another dtype", np.zeros(good.shape, np.float16)
        yield "complex", good.astype(np.complex128)
        yield "objects", good.astype(object)
        yield "an axis too few", good.reshape(-1)[0, ...].reshape(())
        if self.axes:
            yield "axes too many", good[np.newaxis, np.newaxis, np.newaxis]
        if good.itemsize > 1:
            yield "bytes in the other order", good.astype(good.dtype.newbyteorder())
        if self.layout:
            yield from self._laid_out(good)
        if self.finite:
            yield "NaN", np.where(np.arange(good.shape[-1]) == good.shape[-1] - 1, np.nan, good).astype(good.dtype)

    def _laid_out(self, good: Any) -> Iterator[tuple[str, Any]]:
        ways = {"every other element": np.repeat(good, 2, axis=-1)[..., ::2], "elements backwards": good[..., ::-1]}
        if good.ndim > 1:
            ways["turned"] = np.ascontiguousarray(good.T).T
            ways["every other row"] = np.repeat(good, 2, axis=0)[::2]
            ways["rows from last to first"] = good[::-1]
        for word, array in ways.items():
            if not array.flags.c_contiguous:  # as an array of one row or column may be
                yield word, array
        if good.itemsize > 1 and self.aligned:
            memory = np.zeros(good.nbytes + 8, np.uint8)
            array = memory[1 : 1 + good.nbytes].view(good.dtype).reshape(good.shape)
            array[...] = good
            yield "an odd address", array

    def unfit(self) -> Iterator[tuple[str, Any]]:
        if self.width:
            yield "wider", np.concatenate([self.good, self.good[..., :1]], axis=-1)
            yield "narrower", self.good[..., :-1].copy()
            yield "without columns", self.good[..., :0].copy()


@dataclass(frozen=True)
class Output(Array):
    """An array that results go to."""

    def bad(self) -> Iterator[tuple[str, Any]]:
        yield from super().bad()
        locked = self.good.copy()
        locked.flags.writeable = False
        yield "read-only", locked
        yield "a row too many", np.concatenate([self.good, self.good[:1]])


@dataclass(frozen=True)
class Like(Argument):
    """Numbers in an array or in lists, of which a copy is made."""

    axes: int = 1
    width: bool = True

    def bad(self) -> Iterator[tuple[str, Any]]:
        good = np.asarray(self.good)
        yield "text", "text"
        yield "a number", 3
        yield "objects", good.astype(object)
        yield "complex", good.astype(np.complex128)
        yield "axes too many", good[np.newaxis]
        yield "ragged", [[1, 2], [3]] if self.axes == 1 else [[[1], [2, 3]], [[1]]]
        if good.dtype.kind == "f":
            yield "NaN", np.where(np.arange(good.shape[-1]) == 0, np.nan, good)
            yield "infinity", np.where(np.arange(good.shape[-1]) == 0, np.inf, good)
            yield "beyond float32", np.where(np.arange(good.shape[-1]) == 0, 1e300, good.astype(np.float64))

    def unfit(self) -> Iterator[tuple[str, Any]]:
        good = np.asarray(self.good)
        if self.width:
            yield "wider", np.concatenate([good, good[..., :1]], axis=-1)
            yield "narrower", good[..., :-1]
            yield "empty", good[..., :0]


@dataclass(frozen=True)
class Integer(Argument):
    """An integer; `least` and `most` are the values that are too small and too great, if there are any."""

    least: int | None = -1
    most: int | None = HUGE
    fits: tuple[int, ...] = ()
    """Good values that do not fit the other arguments."""

    def bad(self) -> Iterator[tuple[str, Any]]:
        yield "a fraction", 1.5
        yield "a float", float(self.good)
        yield "text", "3"
        yield "a list", [3]
        if self.least is not None:
            yield "too small", self.least
        if self.most is not None:
            yield "too great", self.most

    def unfit(self) -> Iterator[tuple[str, Any]]:
        return ((f"{value}", value) for value in self.fits)


@dataclass(frozen=True)
class Choice(Argument):
    """One of a few words."""

    def bad(self) -> Iterator[tuple[str, Any]]:
        yield "another word", "another"
        yield "capitals", str(self.good).upper()
        yield "a number", 7
        yield "a list", [self.good]
        yield "nothing", None


@dataclass(frozen=True)
class Values(Argument):
    """Whatever is listed."""

    wrong: tuple[Any, ...] = ()

    def bad(self) -> Iterator[tuple[str, Any]]:
        return ((repr(value)[:40], value) for value in self.wrong)


@dataclass(frozen=True)
class Function:
    """A public function with good arguments, all of those that it has."""

    name: str
    call: Callable[..., Any]
    arguments: dict[str, Argument] = field(default_factory=dict)

    def run(self, **changed: Any) -> Any:
        """Call it, with some arguments changed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, of what the test made
            return self.call(**{name: argument.good for name, argument in self.arguments.items()} | changed)


ROWS, NBITS, COLUMNS = 5, 130, 70
FLOATS = np.linspace(-1, 1, ROWS * NBITS, dtype=np.float32).reshape(ROWS, NBITS)
BITS = liam_core.pack(FLOATS)
SIGNS = np.where(FLOATS >= 0, 1, -1).astype(np.int8)
SQUARE = liam_core.pack(np.eye(NBITS, dtype=np.bool_))
CODES = liam_core.BinaryCodes(BITS, NBITS)
WEIGHTS = liam_core.XnorWeights(BITS, NBITS)
LAYER = liam_core.Linear(np.ones((NBITS, ROWS), np.float32))
POSITIONS = np.zeros((ROWS, 3), np.int64)
POWER = np.zeros((ROWS, 64), np.float32)
NETWORK = liam_core.BinaryNetwork(
    liam_core.from_signs(
        features=NBITS,
        encoding_thresholds=np.zeros(NBITS),
        hidden=[(SIGNS, np.zeros(ROWS, int))],
        head_weights=[[1] * 5],
    )
)


def codes() -> Array:
    return Array(BITS)


def nbits(good: int = NBITS, **options: Any) -> Integer:
    return Integer(good, fits=(0, 64, good + 63, 2**30), **options)


def index(**options: Any) -> liam_core.BinaryIndex:
    ids = np.arange(ROWS)
    return liam_core.BinaryIndex(liam_core.IndexDefinition(NBITS, BITS, ids, "hamming", k=2, **options))


def chain(*made: Any, form: str = "float32", width: int = NBITS) -> liam_core.TransformDefinition:
    return liam_core.TransformDefinition(form, width, made)


def written(writer: Callable[..., None]) -> Callable[..., None]:
    """Return a function that would write a file where none can be written, so that what it refuses, it refuses before."""

    def write(**arguments: Any) -> None:
        try:
            writer("/nowhere/at/all", **arguments)
        except FileNotFoundError:
            return

    return write


_network = {
    "features": Integer(NBITS, called="features|encoding source", least=0, fits=(NBITS - 1,)),
    "encoding_thresholds": Like(np.zeros(NBITS), called="encoding[_ ]thresholds"),
    "hidden": Values(
        [(SIGNS, np.zeros(ROWS, int))],
        called=r"hidden(\[0\])?",
        wrong=(
            3,
            [3],
            [(SIGNS,)],
            [(SIGNS[:, :-1], np.zeros(ROWS, int))],
            [(SIGNS * 2, np.zeros(ROWS, int))],
            [(SIGNS, np.zeros(ROWS))],
            [(SIGNS, np.zeros(ROWS + 1, int))],
            [(SIGNS, np.full(ROWS, NBITS + 2))],
            [(SIGNS, np.full(ROWS, 2**40))],
            [("text", np.zeros(ROWS, int))],
            [([[1], [1, -1]], np.zeros(ROWS, int))],
        ),
    ),
    "head_weights": Like(SIGNS[:, :ROWS], axes=2, called="head([_ ]weights)?"),
    "scale": Like(np.ones(ROWS), called="(head )?scale"),
    "bias": Like(np.ones(ROWS), called="(head )?bias"),
    "source": Like(np.arange(NBITS), called="(encoding )?source|encoding"),
    "float_input": Values(
        None,
        called="float_input|input layer|encoding[_ ]thresholds",
        wrong=(
            3,
            (FLOATS,),
            (FLOATS, np.zeros(NBITS)),
            (np.ones((NBITS, NBITS)), np.zeros((1, NBITS))),
            (np.ones((NBITS, NBITS)), np.full(NBITS, np.nan)),
            ([[1], [1, 2]], [0]),
            ("text", [0]),
        ),
    ),
    "float_head": Values(None, called="float_head|head_weights", wrong=(3, (FLOATS.T, np.zeros(ROWS)))),
}
_index = {
    "codes": Like(BITS, axes=2),
    "nbits": nbits(least=0),
    "ids": Like(np.arange(ROWS)),
    "metric": Choice("hamming"),
    "k": Integer(2, least=0),
    "radius": Values(None, called="radius|result", wrong=(1, "3", [3])),
    "input_form": Choice("float32", called="input"),
    "thresholds": Like(np.zeros(NBITS)),
    "oversample": Integer(2, least=0),
    "vectors": Like(FLOATS, axes=2),
}


def _pair(function: Callable[..., Any]) -> dict[str, Argument]:
    return {"a": codes(), "b": codes(), "nbits": nbits(), "out": Output(np.zeros_like(BITS))}


_metric, _threads = Choice("hamming"), Integer(2, least=0, most=None)

FUNCTIONS = [
    Function(
        "pack", liam_core.pack, {"x": Array(FLOATS), "thresholds": Array(np.zeros(NBITS, np.float32), finite=True)}
    ),
    Function("unpack", liam_core.unpack, {"bits": codes(), "nbits": nbits(), "dtype": Choice("int8")}),
    Function(
        "from_packbits",
        liam_core.from_packbits,
        {"packed": Array(np.zeros((ROWS, 17), np.uint8)), "nbits": nbits(), "bitorder": Choice("big")},
    ),
    Function("to_packbits", liam_core.to_packbits, {"bits": codes(), "nbits": nbits(), "bitorder": Choice("big")}),
    Function("words_for", liam_core.words_for, {"nbits": Integer(NBITS, most=None)}),
    *(Function(f.__name__, f, _pair(f)) for f in (liam_core.bit_and, liam_core.bit_or, liam_core.bit_xor)),
    Function("bit_not", liam_core.bit_not, {"a": codes(), "nbits": nbits(), "out": Output(np.zeros_like(BITS))}),
    Function("popcount", liam_core.popcount, {"bits": codes(), "nbits": nbits()}),
    Function("parity", liam_core.parity, {"bits": codes(), "nbits": nbits()}),
    Function(
        "rotate", liam_core.rotate, {"bits": codes(), "nbits": nbits(), "shift": Integer(3, least=None, most=None)}
    ),
    Function("kronecker", liam_core.kronecker, {"a": codes(), "a_nbits": nbits(), "b": codes(), "b_nbits": nbits()}),
    Function("XnorWeights", liam_core.XnorWeights, {"weights": codes(), "nbits": nbits()}),
    Function("XnorWeights.dot", WEIGHTS.dot, {"a": codes(), "out": Output(np.zeros((ROWS, ROWS), np.int32))}),
    Function(
        "XnorWeights.threshold",
        WEIGHTS.threshold,
        {"a": codes(), "thresholds": Array(np.zeros(ROWS, np.int32)), "out": Output(np.zeros((ROWS, 1), np.uint64))},
    ),
    Function(
        "XnorWeights.scaled",
        WEIGHTS.scaled,
        {
            "a": codes(),
            "scale": Array(np.ones(ROWS, np.float32)),
            "bias": Array(np.ones(ROWS, np.float32)),
            "out": Output(np.zeros((ROWS, ROWS), np.float32)),
        },
    ),
    Function("xnor_dot", liam_core.xnor_dot, {"a": codes(), "weights": codes(), "nbits": nbits()}),
    Function("BinaryCodes", liam_core.BinaryCodes, {"codes": codes(), "nbits": nbits()}),
    Function("BinaryCodes.distances", CODES.distances, {"queries": codes(), "metric": _metric}),
    Function(
        "BinaryCodes.top_k",
        CODES.top_k,
        {"queries": codes(), "k": Integer(2, most=None), "metric": _metric, "threads": _threads},
    ),
    Function(
        "BinaryCodes.within",
        CODES.within,
        {"queries": codes(), "radius": Integer(2, most=None), "metric": _metric, "threads": _threads},
    ),
    Function("BinaryCodes.prepared", CODES.prepared, {"metric": _metric}),
    Function(
        "BinaryCodes.rescore", CODES.rescore, {"queries": Array(FLOATS), "positions": Array(POSITIONS, width=False)}
    ),
    Function(
        "rescore_vectors",
        liam_core.rescore_vectors,
        {"queries": Array(FLOATS), "vectors": Array(FLOATS), "positions": Array(POSITIONS, width=False)},
    ),
    Function(
        "walsh_hadamard",
        liam_core.walsh_hadamard,
        {"x": Array(POWER, axes=False), "order": Choice("natural"), "out": Output(POWER.copy())},
    ),
    Function(
        "Rotation", liam_core.Rotation, {"n": Integer(NBITS, least=0, most=2**30 + 1), "seed": Integer(1, most=2**64)}
    ),
    *(
        Function(f"Rotation.{name}", getattr(liam_core.Rotation(NBITS, 1), name), arguments)
        for name in ("apply", "inverse")
        for arguments in [{"x": Array(FLOATS, axes=False), "out": Output(FLOATS.copy())}]
    ),
    Function("gf2.multiply", gf2.multiply, {"a": Array(SQUARE), "b": Array(SQUARE), "nbits": nbits()}),
    Function("gf2.matvec", gf2.matvec, {"a": codes(), "x": codes(), "nbits": nbits()}),
    *(
        Function(f"gf2.{f.__name__}", f, {"a": codes(), "nbits": nbits()})
        for f in (gf2.transpose, gf2.row_reduce, gf2.rank, gf2.null_space)
    ),
    Function("gf2.ranks", gf2.ranks, {"a": Array(BITS[np.newaxis]), "nbits": nbits()}),
    Function("gf2.inverse", gf2.inverse, {"a": Array(SQUARE)}),
    Function(
        "gf2.solve",
        gf2.solve,
        {"a": Array(SQUARE), "b": Array(SQUARE[:, :2].copy()), "nbits": nbits(), "b_nbits": nbits(COLUMNS)},
    ),
    Function("Linear", liam_core.Linear, {"weights": Array(FLOATS), "bias": Array(np.zeros(NBITS, np.float32))}),
    Function(
        "Linear.apply",
        LAYER.apply,
        {"x": Array(FLOATS), "out": Output(np.zeros((ROWS, ROWS), np.float32)), "threads": _threads},
    ),
    Function("from_signs", liam_core.from_signs, _network),
    Function("write_binary_network", written(liam_core.write_binary_network), _network),
    Function(
        "BinaryNetwork.run",
        NETWORK.run,
        {
            "x": Array(FLOATS, aligned=False),
            "label": Output(np.zeros(ROWS, np.int64)),
            "scores": Output(np.zeros((ROWS, 1), np.float32)),
        },
    ),
    Function(
        "BinaryNetwork.run_bytes",
        NETWORK.run_bytes,
        {
            "data": Values(FLOATS.tobytes(), wrong=("text", 3, None, b"", FLOATS.tobytes() + b"\0", FLOATS[:, ::2])),
            "rows": Integer(ROWS, called="data", fits=(0, ROWS - 1, ROWS + 1)),
        },
    ),
    Function(
        "NetworkDefinition",
        lambda weights, nbits, thresholds, source, encoding, scale, bias: liam_core.NetworkDefinition(
            Encoding(NBITS, source, encoding),
            (HiddenLayer(nbits, weights, thresholds),),
            Head(ROWS, np.ones((1, 1), np.uint64), scale, bias),
        ),
        {
            "weights": Array(BITS, called=r"hidden\[0\]", layout=False),
            "nbits": Integer(NBITS, called=r"hidden\[0\]", least=0, fits=(64, NBITS + 63)),
            "thresholds": Array(np.zeros(ROWS, np.int32), called=r"hidden\[0\]", layout=False),
            "source": Array(np.zeros(NBITS, np.int32), called="encoding", layout=False),
            "encoding": Array(np.zeros(NBITS, np.float32), called="encoding", finite=True, layout=False),
            "scale": Array(np.ones(1, np.float32), called="head", finite=True, layout=False),
            "bias": Array(np.ones(1, np.float32), called="head", finite=True, layout=False),
        },
    ),
    Function("write_binary_index", written(liam_core.write_binary_index), _index),
    Function(
        "IndexDefinition",
        lambda oversample, vectors, **rest: liam_core.IndexDefinition(rescoring=Rescoring(oversample, vectors), **rest),
        {
            "nbits": nbits(least=0),
            "codes": Array(BITS, layout=False),
            "ids": Array(np.arange(ROWS), layout=False),
            "metric": Choice("hamming"),
            "k": Integer(2, least=0),
            "radius": Values(None, called="result", wrong=(1, 0.5)),
            "input_form": Choice("float32", called="input"),
            "thresholds": Array(np.zeros(NBITS, np.float32), finite=True, layout=False),
            "oversample": Integer(2, least=0),
            "vectors": Array(FLOATS, finite=True, layout=False),
        },
    ),
    Function(
        "BinaryIndex.run",
        index().run,
        {"x": Array(FLOATS), "threads": _threads, "goes_on": Values(None)},
    ),
    Function(
        "SignalTransform.run",
        liam_core.SignalTransform(chain(steps.Threshold())).run,
        {"x": Array(FLOATS)},
    ),
    Function(
        "TransformDefinition",
        liam_core.TransformDefinition,
        {
            "input_form": Choice("float32", called="input"),
            "width": Integer(NBITS, called="input", least=0),
            "steps": Values(
                (steps.Threshold(),), called=r"steps(\[0\])?", wrong=((), 3, None, (3,), (steps.Unpack(),))
            ),
        },
    ),
    Function(
        "write_signal_transform",
        written(liam_core.write_signal_transform),
        {
            "width": Integer(NBITS, called="input", least=0),
            "steps": Values([steps.Threshold()], called=r"steps(\[0\])?", wrong=([], 3, None, [3], [steps.Unpack()])),
            "input_form": Choice("float32", called="input"),
        },
    ),
    Function(
        "steps.Rotation",
        lambda seed: chain(steps.Rotation(seed)),
        {"seed": Integer(1, called=r"steps\[0\]\.seed", most=2**64)},
    ),
    Function(
        "steps.WalshHadamard",
        lambda order: chain(steps.WalshHadamard(order), width=64),
        {"order": Choice("natural", called=r"steps\[0\]\.order")},
    ),
    Function(
        "steps.Scale",
        lambda factors: chain(steps.Scale(factors)),
        {"factors": Array(np.ones(NBITS, np.float32), called=r"steps\[0\]\.factors", finite=True, layout=False)},
    ),
    Function(
        "steps.Threshold",
        lambda thresholds: chain(steps.Threshold(thresholds)),
        {"thresholds": Array(np.ones(NBITS, np.float32), called=r"steps\[0\]\.thresholds", finite=True, layout=False)},
    ),
    Function(
        "steps.BitRotate",
        lambda shift: chain(steps.BitRotate(shift), form="packed"),
        {"shift": Integer(3, called=r"steps\[0\]\.shift", least=-NBITS, most=NBITS)},
    ),
    Function(
        "steps.Gf2Map",
        lambda matrix: chain(steps.Gf2Map(matrix), form="packed"),
        {"matrix": Array(BITS, called=r"steps\[0\]\.matrix", layout=False)},
    ),
    Function("steps.Gf2Map.of", steps.Gf2Map.of, {"matrix": Like(SIGNS > 0, axes=2, width=False)}),
    Function(
        "steps.Unpack",
        lambda to: chain(steps.Unpack(to), form="packed"),
        {"to": Choice("int8", called=r"steps\[0\]\.to")},
    ),
    Function("set_level", lambda level: liam_core.set_level(level).__enter__(), {"level": Choice("scalar")}),
]
