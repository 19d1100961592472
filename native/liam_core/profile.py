"""The file profile `liam.binary_network`, versions 1 and 2: a binary network in a safetensors file.

Any safetensors reader can open such a file. Packed matrices are U64 tensors (rows, words), least significant
bit first, with bit 1 for +1 and zero bits past the row's width. `__metadata__` holds exactly

    format          "liam.binary_network"
    format_version  "1", or "2" if the head has a table, which readers of version 1 do not know
    bitorder        "little"
    bit_one         "+1"
    network         a JSON object that names every tensor and its width, as `_network_json` writes it

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
from liam_core.definition import Encoding, Head, HiddenLayer, NetworkDefinition, TableHead, from_signs
from liam_core.errors import ModelFormatError
from liam_core.fields import Fields, description, identity

__all__ = ["FORMAT", "format_version", "read_binary_network", "save_binary_network", "write_binary_network"]

FORMAT: Final = "liam.binary_network"
INPUT_NAME: Final = "input"
LABEL_NAME: Final = "label"
SCORES_NAME: Final = "scores"

_AFFINE_HEAD: Final = ("scale", "bias")
_TABLE_HEAD: Final = ("table",)
_HEADS: Final = {"1": _AFFINE_HEAD, "2": _TABLE_HEAD}
"""The tensors beside the head's weights, by format version: a network has one file, so the head decides."""


def format_version(definition: NetworkDefinition) -> str:
    """Return the version of the profile that a definition's file has."""
    return "2" if isinstance(definition.head, TableHead) else "1"


def write_binary_network(
    path: str | os.PathLike[str],
    *,
    features: int,
    encoding_thresholds: ArrayLike,
    hidden: Sequence[tuple[ArrayLike, ArrayLike]],
    head_weights: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    source: ArrayLike | None = None,
) -> None:
    """Write a network with unpacked weights to `path`; the arguments are those of `definition.from_signs`.

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
    for index, layer in enumerate(definition.hidden):
        tensors += [
            (f"hidden.{index}.weights", layer.weights),
            (f"hidden.{index}.thresholds", layer.thresholds),
        ]
    version = format_version(definition)
    tensors += [(f"head.{name}", getattr(head, name)) for name in ("weights", *_HEADS[version])]
    network = json.dumps(_network_json(definition), separators=(",", ":"))
    return serialise({**identity(FORMAT, version), "network": network}, tensors)


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
    return {
        "input": {
            "name": INPUT_NAME,
            "features": definition.encoding.features,
            "nbits": len(definition.encoding.source),
            "source": "input.source",
            "thresholds": "input.thresholds",
        },
        "hidden": hidden,
        "head": {
            "nbits": definition.head.nbits,
            "classes": definition.classes,
            **{name: f"head.{name}" for name in ("weights", *_HEADS[format_version(definition)])},
        },
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
    if container.metadata.get("format") == FORMAT and version not in _HEADS:
        raise ModelFormatError(f"__metadata__.format_version: want {' or '.join(map(repr, _HEADS))}, got {version!r}")
    fields = description(container, identity(FORMAT, version), "network")
    definition = _read_network(fields, _HEADS[version])
    fields.all_used()
    return definition


def _read_network(network: Fields, head_tensors: tuple[str, ...]) -> NetworkDefinition:
    network.exactly("input", "hidden", "head", "outputs")
    source = network.child("input").exactly("name", "features", "nbits", "source", "thresholds")
    source.constant("name", INPUT_NAME)
    outputs = network.child("outputs").exactly("label", "scores")
    outputs.constant("label", LABEL_NAME)
    outputs.constant("scores", SCORES_NAME)
    bits = source.size("nbits")
    encoding = Encoding(
        features=source.size("features"),
        source=source.tensor("source", np.int32, bits),
        thresholds=source.tensor("thresholds", np.float32, bits),
    )
    hidden = []
    for layer in network.children("hidden"):
        layer.exactly("nbits", "outputs", "weights", "thresholds")
        nbits, count = layer.size("nbits"), layer.size("outputs")
        weights = layer.tensor("weights", np.uint64, count, (nbits + 63) // 64)
        hidden.append(HiddenLayer(nbits, weights, layer.tensor("thresholds", np.int32, count)))
    head = _read_head(network.child("head").exactly("nbits", "classes", "weights", *head_tensors), head_tensors)
    return NetworkDefinition(encoding=encoding, hidden=tuple(hidden), head=head)


def _read_head(head: Fields, tensors: tuple[str, ...]) -> Head | TableHead:
    nbits, classes = head.size("nbits"), head.size("classes")
    weights = head.tensor("weights", np.uint64, classes, (nbits + 63) // 64)
    if tensors == _TABLE_HEAD:
        return TableHead(nbits, weights, head.tensor("table", np.float32, classes, nbits + 1))
    return Head(nbits, weights, head.tensor("scale", np.float32, classes), head.tensor("bias", np.float32, classes))
