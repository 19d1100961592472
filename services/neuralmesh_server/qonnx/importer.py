"""Walks a model from its input to its output and builds the network: features become bits, bits sums, sums bits again.

Each node either changes the arithmetic that is collected (see `steps`), ends it in a quantiser, or begins the next
layer's sums. What the nodes compute is evaluated only where it ends: in `encoder`, `folding` and `head`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from liam_core.bits import pack
from liam_core.definition import Encoding, HiddenLayer, NetworkDefinition, TableHead
from liam_core.errors import ModelFormatError
from neuralmesh_server.qonnx.annotations import is_integer, want_allowed
from neuralmesh_server.qonnx.encoder import encode
from neuralmesh_server.qonnx.folding import fold
from neuralmesh_server.qonnx.graph import read
from neuralmesh_server.qonnx.head import head_of
from neuralmesh_server.qonnx.products import product_of
from neuralmesh_server.qonnx.quantisers import quantiser_of
from neuralmesh_server.qonnx.refusal import refused, refused_model
from neuralmesh_server.qonnx.shapes import reshaped
from neuralmesh_server.qonnx.steps import step_of
from neuralmesh_server.qonnx.sums import Sums

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.qonnx.graph import Graph, Operation
    from neuralmesh_server.qonnx.quantisers import Quantiser
    from neuralmesh_server.qonnx.steps import Step

    Floats = NDArray[np.float32]

_RESHAPING: Final = frozenset({"Dropout", "Flatten", "Identity", "Reshape"})
_ARITHMETIC: Final = frozenset({"Add", "BatchNormalization", "Div", "Mul", "Sub"})
_QUANTISERS: Final = frozenset({"BipolarQuant", "MultiThreshold"})
_PRODUCTS: Final = frozenset({"Gemm", "MatMul", "XnorPopcountMatMul"})


@dataclass(frozen=True, slots=True)
class Layer:
    """What an import made of one layer.

    Attributes:
        node: Name of the node that makes its bits or, for the head, its inner products; the tensor if it has none.
        operator: The node's operator.
        inputs: Features of the encoder, bits of the others.
        outputs: Bits, or classes of the head.
        constant: Bits that are always the same.
        inverted: Bits that fall in what they are made of, and are stored the other way round.
    """

    node: str
    operator: str
    inputs: int
    outputs: int
    constant: int = 0
    inverted: int = 0


@dataclass(frozen=True, slots=True)
class Imported:
    """A network, and what was found.

    Attributes:
        definition: The network, whose bits and scores are those of the model.
        layers: The encoder, the hidden layers and the head.
    """

    definition: NetworkDefinition
    layers: tuple[Layer, ...]

    @property
    def head(self) -> str:
        """How scores are made of inner products: "affine" or "table"."""
        return "table" if isinstance(self.definition.head, TableHead) else "affine"


@dataclass(frozen=True, slots=True, eq=False)
class _Features:
    """The input, and the arithmetic on it so far."""

    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Bits:
    """What each bit of the layer before stands for, float32 (width,)."""

    off: Floats
    on: Floats


_INPUT: Final = _Features()


@dataclass(slots=True)
class _Walk:
    inexact: bool
    batch: int | None
    shape: tuple[int, ...]
    state: _Features | _Bits | Sums = _INPUT
    encoding: Encoding | None = None
    hidden: list[HiddenLayer] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)

    def take(self, operation: Operation) -> None:
        """Take one node."""
        if operation.kind in _RESHAPING:
            self._reshape(operation)
        elif operation.kind in _ARITHMETIC:
            self._calculate(operation)
        elif operation.kind in _QUANTISERS:
            self._quantise(operation)
        elif operation.kind in _PRODUCTS:
            self._multiply(operation)
        else:
            raise refused(operation.node, "it is known at the end of a model only")

    def _reshape(self, operation: Operation) -> None:
        self.shape = reshaped(operation, self.batch, self.shape)
        if isinstance(self.state, _Bits):
            self._check_bits(operation)
        elif self.state is not _INPUT and is_integer(operation.annotation):
            raise refused(operation.node, f"its output is annotated as {operation.annotation}: want a float")

    def _calculate(self, operation: Operation) -> None:
        step = step_of(operation, self.shape)
        if isinstance(self.state, _Bits):
            ends = (step.apply(values[None], slice(None))[0] for values in (self.state.off, self.state.on))
            self.state = _Bits(*ends)
            self._check_bits(operation)
        elif isinstance(self.state, Sums):
            self.state = replace(self.state, steps=(*self.state.steps, step))
        elif is_integer(operation.annotation):
            raise refused(operation.node, f"its output is annotated as {operation.annotation}: want a float")
        else:
            self.state = _Features((*self.state.steps, step))

    def _quantise(self, operation: Operation) -> None:
        if isinstance(self.state, _Bits):
            raise refused(operation.node, "it quantises bits again")
        quantiser = quantiser_of(operation, self.shape)
        inverted = self._encode(quantiser) if isinstance(self.state, _Features) else self._fold(self.state, quantiser)
        on, off = quantiser.on, quantiser.off
        self.state = _Bits(np.where(inverted, on, off), np.where(inverted, off, on))
        self._check_bits(operation)

    def _encode(self, quantiser: Quantiser) -> NDArray[np.bool_]:
        assert isinstance(self.state, _Features)
        thresholds, inverted, constant = encode(self.state.steps, quantiser)
        features = len(thresholds)
        self.encoding = Encoding(features, np.arange(features, dtype=np.int32), thresholds)
        self.layers.append(Layer(*quantiser.operation.named, features, features, constant, int(inverted.sum())))
        return inverted

    def _fold(self, sums: Sums, quantiser: Quantiser) -> NDArray[np.bool_]:
        folded = fold(sums, quantiser)
        nbits = sums.product.nbits
        self.hidden.append(HiddenLayer(nbits, pack(sums.product.signs), folded.thresholds))
        inverted = int(folded.inverted.sum())
        self.layers.append(Layer(*quantiser.operation.named, nbits, sums.channels, folded.constant, inverted))
        return folded.inverted

    def _multiply(self, operation: Operation) -> None:
        if isinstance(self.state, _Features):
            raise refused(operation.node, "it multiplies floats: want a quantiser of one bit before the first layer")
        if isinstance(self.state, Sums):
            raise refused(
                operation.node, "it multiplies the sums of a layer: want a quantiser of one bit between layers"
            )
        if len(self.shape) != 1:
            raise refused(operation.node, f"its rows have the shape {self.shape}: want them flattened")
        self.state = Sums(product_of(operation, self.state.off, self.state.on), (), self.inexact)
        self.shape = (self.state.channels,)

    def _check_bits(self, operation: Operation) -> None:
        assert isinstance(self.state, _Bits)
        want_allowed(operation, np.concatenate([self.state.off, self.state.on]))


def import_network(path: Path, *, inexact: bool = False) -> Imported:
    """Return the network that a QONNX model is.

    Args:
        path: The model.
        inexact: Take sums in float64 that in the model depend on the order of additions, instead of refusing them.

    Raises:
        InvalidArgumentError: The model is none of the subset; the message names the node, its operator and why.
        OSError: The file cannot be read.
    """
    graph = read(path)
    walk = _Walk(inexact, graph.batch, graph.shape)
    for operation in _without_label(graph):
        walk.take(operation)
    if not isinstance(walk.state, Sums) or walk.encoding is None:
        raise refused_model("the model does not end in a layer's scores: want binary weights in its last layer")
    if len(walk.shape) != 1:
        raise refused_model(f"the scores of a row have the shape {walk.shape}: want a vector")
    head = head_of(walk.state)
    product = walk.state.product
    walk.layers.append(Layer(*product.operation.named, product.nbits, walk.state.channels))
    try:
        definition = NetworkDefinition(walk.encoding, tuple(walk.hidden), head)
    except ModelFormatError as error:
        raise refused_model(f"the model is no network that LIAM runs: {error}") from error
    return Imported(definition, tuple(walk.layers))


def _without_label(graph: Graph) -> tuple[Operation, ...]:
    """Return the operations without an ArgMax at the end, which is the label that every network gives."""
    operations = graph.operations
    if not operations or operations[-1].kind != "ArgMax":
        return operations
    last = operations[-1]
    if last.attribute("axis", 0) not in {1, -1} or last.attribute("select_last_index", 0):
        raise refused(last.node, "it is not the lowest class with the greatest score")
    return operations[:-1]
