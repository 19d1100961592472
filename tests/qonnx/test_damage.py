"""Damaged models are imported or refused, and nothing else: no file makes the importer fail in any other way."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.qonnx.importer import import_network
from tests.qonnx.builder import Builder
from tests.qonnx.networks import random_network


def streamlined() -> Builder:
    """Return a network of the streamlined dialect, with annotations."""
    made = Builder(1, (9,), 3).threshold([[0.5]], 1.0, 0.0, "BINARY").xnor(5)
    made.annotations[made.tip] = "UINT32"
    return made.threshold([[3.0]], 1.0, 0.0, "BINARY").xnor(3)


SOUND = [streamlined(), *(random_network(seed, batch=1) for seed in (2, 5, 9))]


def damaged(content: bytes, source: random.Random) -> bytes:
    """Return the content with a few bytes changed, moved or lost; most bytes of it are names, numbers and lengths."""
    data = bytearray(content)
    for _ in range(source.randint(1, 4)):
        position = source.randrange(len(data))
        form = source.randrange(4)
        if form == 0:
            data[position] = source.randrange(256)
        elif form == 1:
            data[position] ^= 1 << source.randrange(8)
        elif form == 2:
            del data[position : position + source.randint(1, 8)]
        else:
            end = source.randrange(len(data))
            data[position : position + 4] = data[end : end + 4]
    return bytes(data)


@pytest.mark.parametrize("seed", range(200))
def test_damaged_files_are_imported_or_refused(seed, tmp_path):
    """Whatever a file holds, the outcome is a network or an error that says what is wrong."""
    source = random.Random(seed)
    path = tmp_path / "model.onnx"
    model = SOUND[seed % len(SOUND)].model()
    for tensor in model.graph.initializer:  # smaller weights, so that damage meets structure more often
        if len(tensor.raw_data) > 4096:
            tensor.dims[:] = [1] * len(tensor.dims)
            tensor.raw_data = tensor.raw_data[:4]
    path.write_bytes(damaged(model.SerializeToString(), source))
    with suppress(InvalidArgumentError):
        import_network(path)
