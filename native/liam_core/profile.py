"""The file profile `liam.binary_network`, versions 1 to 3: a binary network in a safetensors file.

Any safetensors reader can open such a file. Packed matrices are U64 tensors (rows, words), least significant
bit first, with bit 1 for +1 and zero bits past the row's width. `__metadata__` holds exactly

    format          "liam.binary_network"
    format_version  "1"; "2" if the head has a table; "3" if a layer of floats stands at either end
    bitorder        "little"
    bit_one         "+1"
    network         a JSON object that names every tensor and its width, as `_network_json` writes it

Readers of a version do not know the later ones, and writers use the earliest that a network has a place in. Layers of
floats are F32 tensors (inputs, outputs) and (outputs,).

Files are data: they are parsed, checked rule by rule, and never executed. Unknown versions, keys and tensors
are refused, since a reader that ignores them would compute something else than the writer meant.
"""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liam_core import storage
from liam_core.container import Container, serialise
from liam_core.definition import Encoding, FloatLayer, Head, HiddenLayer, NetworkDefinition, TableHead
from liam_core.errors import ModelFormatError
from liam_core.fields import Fields, description, identity
from liam_core.signs import from_signs

__all__ = ["FORMAT", "format_version", "read_binary_network", "save_binary_network", "write_binary_network"]

FORMAT: Final = "liam.binary_network"
INPUT_NAME: Final = "input"
LABEL_NAME: Final = "label"
SCORES_NAME: Final = "scores"

_HEADS: Final = {"scale": ("weights", "scale", "bias"), "table": ("weights", "table"), "float": ("weights", "bias")}
"""The tensors of a head, by its kind."""
_HEAD_OF: Final = {"1": "scale", "2": "table", "3": None}
"""The kind of head by format version; files of version 3 say it. A network has one file, so its parts decide."""


def format_version(definition: NetworkDefinition) -> str:
    """Return the version of the profile that a definition's file has."""
    if definition.input_layer is not None or isinstance(definition.head, FloatLayer):
        return "3"
    return "2" if isinstance(definition.head, TableHead) else "1"


def _kind(head: Head | TableHead | FloatLayer) -> str:
    if isinstance(head, FloatLayer):
        return "float"
    return "table" if isinstance(head, TableHead) else "scale"


def write_binary_network(
    path: str | os.PathLike[str],
    *,
    features: int,
    encoding_thresholds: ArrayLike,
    hidden: Sequence[tuple[ArrayLike, ArrayLike]],
    head_weights: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    source: ArrayLike | None = None,
    float_input: tuple[ArrayLike, ArrayLike] | None = None,
    float_head: tuple[ArrayLike, ArrayLike] | None = None,
) -> None:
    """Write a network with unpacked weights to `path`; the arguments are those of `from_signs`.

    The same arguments give the same bytes. The file appears complete or not at all.

    Raises:
        ModelFormatError: an argument has a wrong shape, type or value.
        OSError: the file cannot be written.
    """
    definition = from_signs(
        features=features,
        encoding_thresholds=encoding_thresholds,
        hidden=hidden,
        head_weights=head_weights,
        scale=scale,
        bias=bias,
        source=source,
        float_input=float_input,
        float_head=float_head,
    )
    save_binary_network(path, definition)


def save_binary_network(path: str | os.PathLike[str], definition: NetworkDefinition) -> None:
    """Write a definition to `path`, complete or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    storage.save(path, _parts(definition))


def _parts(definition: NetworkDefinition) -> Iterator[bytes | memoryview]:
    """Return the file of a definition, part by part."""
    encoding, head = definition.encoding, definition.head
    tensors: list[tuple[str, NDArray[Any]]] = [
        ("input.source", encoding.source),
        ("input.thresholds", encoding.thresholds),
    ]
    if definition.input_layer is not None:
        layer_tensors = definition.input_layer.weights, definition.input_layer.bias
        tensors += zip(("input.layer.weights", "input.layer.bias"), layer_tensors, strict=True)
    for index, layer in enumerate(definition.hidden):
        tensors += [
            (f"hidden.{index}.weights", layer.weights),
            (f"hidden.{index}.thresholds", layer.thresholds),
        ]
    tensors += [(f"head.{name}", getattr(head, name)) for name in _HEADS[_kind(head)]]
    network = json.dumps(_network_json(definition), separators=(",", ":"))
    return serialise({**identity(FORMAT, format_version(definition)), "network": network}, tensors)


def _network_json(definition: NetworkDefinition) -> dict[str, object]:
    hidden = [
        {
            "nbits": layer.nbits,
            "outputs": len(layer.weights),
            "weights": f"hidden.{index}.weights",
            "thresholds": f"hidden.{index}.thresholds",
        }
        for index, layer in enumerate(definition.hidden)
    ]
    source: dict[str, object] = {
        "name": INPUT_NAME,
        "features": definition.features,
        "nbits": len(definition.encoding.source),
        "source": "input.source",
        "thresholds": "input.thresholds",
    }
    if definition.input_layer is not None:
        names = {name: f"input.layer.{name}" for name in _HEADS["float"]}
        source["layer"] = {"outputs": definition.encoding.features, **names}
    kind = _kind(definition.head)
    head: dict[str, object] = {"kind": kind} if format_version(definition) == "3" else {}
    head |= {"nbits": definition.head_inputs, "classes": definition.classes}
    return {
        "input": source,
        "hidden": hidden,
        "head": head | {name: f"head.{name}" for name in _HEADS[kind]},
        "outputs": {"label": LABEL_NAME, "scores": SCORES_NAME},
    }


def read_binary_network(path: str | os.PathLike[str]) -> NetworkDefinition:
    """Return the network in a file, as arrays that view the memory-mapped file.

    The map lives as long as the arrays. A file that somebody shortens meanwhile cannot be read any more by
    anyone who maps it, so replace files, never rewrite them.

    Raises:
        ModelFormatError: the file breaks a rule; the message names it.
        OSError: the file cannot be read.
    """
    return storage.read(path, _definition)


def _definition(container: Container) -> NetworkDefinition:
    version = container.metadata.get("format_version", "")
    if container.metadata.get("format") == FORMAT and version not in _HEAD_OF:
        wanted = " or ".join(map(repr, _HEAD_OF))
        raise ModelFormatError(f"__metadata__.format_version: want {wanted}, got {version!r}")
    fields = description(container, identity(FORMAT, version), "network")
    definition = _read_network(fields, _HEAD_OF[version])
    if format_version(definition) != version:
        raise ModelFormatError(f"__metadata__.format_version: {version!r} without a layer of floats")
    fields.all_used()
    return definition


def _read_network(network: Fields, head_kind: str | None) -> NetworkDefinition:
    network.exactly("input", "hidden", "head", "outputs")
    optional = () if head_kind else ("layer",)
    source = network.child("input").exactly("name", "features", "nbits", "source", "thresholds", optional=optional)
    source.constant("name", INPUT_NAME)
    outputs = network.child("outputs").exactly("label", "scores")
    outputs.constant("label", LABEL_NAME)
    outputs.constant("scores", SCORES_NAME)
    bits, features = source.size("nbits"), source.size("features")
    input_layer = None
    if "layer" in source:
        layer = source.child("layer").exactly("outputs", *_HEADS["float"])
        input_layer = _read_floats(layer, features, layer.size("outputs"))
    encoding = Encoding(
        features=features if input_layer is None else len(input_layer.bias),
        source=source.tensor("source", np.int32, bits),
        thresholds=source.tensor("thresholds", np.float32, bits),
    )
    hidden = []
    for layer in network.children("hidden"):
        layer.exactly("nbits", "outputs", "weights", "thresholds")
        nbits, count = layer.size("nbits"), layer.size("outputs")
        weights = layer.tensor("weights", np.uint64, count, (nbits + 63) // 64)
        hidden.append(HiddenLayer(nbits, weights, layer.tensor("thresholds", np.int32, count)))
    head = _read_head(network.child("head"), head_kind)
    return NetworkDefinition(encoding=encoding, hidden=tuple(hidden), head=head, input_layer=input_layer)


def _read_head(head: Fields, kind: str | None) -> Head | TableHead | FloatLayer:
    says: tuple[str, ...] = ()
    if kind is None:
        head.exactly("kind", "nbits", "classes", "weights", optional=("scale", "bias", "table"))
        says, kind = ("kind",), head.choice("kind", *_HEADS)
    head.exactly(*says, "nbits", "classes", *_HEADS[kind])
    nbits, classes = head.size("nbits"), head.size("classes")
    if kind == "float":
        return _read_floats(head, nbits, classes)
    weights = head.tensor("weights", np.uint64, classes, (nbits + 63) // 64)
    if kind == "table":
        return TableHead(nbits, weights, head.tensor("table", np.float32, classes, nbits + 1))
    return Head(nbits, weights, head.tensor("scale", np.float32, classes), head.tensor("bias", np.float32, classes))


def _read_floats(layer: Fields, inputs: int, outputs: int) -> FloatLayer:
    weights = layer.tensor("weights", np.float32, inputs, outputs)
    return FloatLayer(weights, layer.tensor("bias", np.float32, outputs))
