"""The file profile: what the writer promises, seen by our loader and by the stock safetensors reader."""

import json
import os
import re

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from liam_core import BinaryNetwork, ModelFormatError, pack, read_binary_network, write_binary_network
from liam_core.storage import format_of
from tests.native.oracle import Maker


@pytest.fixture
def network():
    """Return a network whose tensors need padding."""
    return Maker(1).network(30, 70, 33, 5, bits=100)


@pytest.fixture
def path(tmp_path, network):
    """Return the network's file."""
    target = tmp_path / "network.safetensors"
    write_binary_network(target, **network.arguments())
    return target


def header_of(path):
    """Return the parsed header and the offset of the data."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), 8 + length


def test_written_networks_compute_what_they_were_made_of(path, network):
    """A network that went through a file equals the oracle to the last bit."""
    x = Maker(2).rows(network, 40)
    scores = network.scores(x)
    label, got = BinaryNetwork.open(path).run(x)
    assert got.tobytes() == scores.tobytes()
    np.testing.assert_array_equal(label, scores.argmax(axis=1))


def test_the_stock_reader_loads_the_file(path, network):
    """Any safetensors reader sees the documented tensors and metadata."""
    tensors = load_file(path)
    np.testing.assert_array_equal(tensors["input.source"], network.source)
    np.testing.assert_array_equal(tensors["input.thresholds"], network.encoding_thresholds)
    for index, (weights, thresholds) in enumerate(network.hidden):
        assert tensors[f"hidden.{index}.weights"].dtype == np.uint64
        np.testing.assert_array_equal(tensors[f"hidden.{index}.weights"], pack(weights))
        np.testing.assert_array_equal(tensors[f"hidden.{index}.thresholds"], thresholds)
    np.testing.assert_array_equal(tensors["head.weights"], pack(network.head_weights))
    np.testing.assert_array_equal(tensors["head.scale"], network.scale)
    np.testing.assert_array_equal(tensors["head.bias"], network.bias)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata.keys() == {"format", "format_version", "bitorder", "bit_one", "network"}
    assert metadata["format"] == "liam.binary_network"
    assert metadata["format_version"] == "1"
    assert metadata["bitorder"] == "little"
    assert metadata["bit_one"] == "+1"
    description = json.loads(metadata["network"])
    assert description["input"]["features"] == network.features
    assert [layer["outputs"] for layer in description["hidden"]] == [70, 33]
    assert description["head"]["classes"] == 5
    assert description["outputs"] == {"label": "label", "scores": "scores"}


def test_tensors_are_aligned_and_padded_with_zeros(path):
    """Every tensor but the pads starts at a multiple of 64 bytes in the file, and pads are zero."""
    header, start = header_of(path)
    assert start % 64 == 0
    content = path.read_bytes()
    pads = 0
    for name, entry in header.items():
        if name.startswith("__pad."):
            begin, end = entry["data_offsets"]
            assert entry["dtype"] == "U8"
            assert content[start + begin : start + end] == bytes(end - begin)
            pads += 1
        elif name != "__metadata__":
            assert entry["data_offsets"][0] % 64 == 0
    assert pads > 0
    assert (len(content) - start) % 64 == 0


def test_equal_networks_give_equal_bytes(path, network, tmp_path):
    """Writing is deterministic, so a digest names a network."""
    again = tmp_path / "again.safetensors"
    write_binary_network(again, **network.arguments())
    assert again.read_bytes() == path.read_bytes()


def test_the_loader_views_the_file(path):
    """Tensors are read-only views of the mapped file, at aligned addresses, not copies."""
    definition = read_binary_network(path)
    for weights in (definition.hidden[0].weights, definition.head.weights):
        assert not weights.flags.owndata
        assert not weights.flags.writeable
        assert weights.ctypes.data % 64 == 0


def test_an_open_network_does_not_need_its_file(path, network):
    """A network keeps computing when its file has been emptied and removed."""
    net = BinaryNetwork.open(path)
    x = Maker(3).rows(network, 3)
    before = net.run_bytes(x.tobytes(), 3)
    os.truncate(path, 0)
    path.unlink()
    assert net.run_bytes(x.tobytes(), 3) == before


def test_files_appear_complete_or_not_at_all(path, network, tmp_path):
    """A failed write leaves the old file and nothing beside it; a later one replaces it."""
    before = path.read_bytes()
    with pytest.raises(ModelFormatError):
        write_binary_network(path, **(network.arguments() | {"scale": [np.nan] * 5}))
    with pytest.raises(IsADirectoryError):
        write_binary_network(tmp_path, **network.arguments())
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    write_binary_network(path, **(network.arguments() | {"bias": [0.0] * 5}))
    assert path.read_bytes() != before


def test_files_respect_the_umask(path):
    """A written file has the permissions that any new file gets."""
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_missing_file_is_an_os_error(tmp_path):
    """What is no file is not a format error."""
    with pytest.raises(FileNotFoundError):
        BinaryNetwork.open(tmp_path / "none")


def test_smallest_network_fits(tmp_path):
    """One feature, one bit, no hidden layer and one class are a network."""
    target = tmp_path / "tiny"
    write_binary_network(target, features=1, encoding_thresholds=[0.5], hidden=[], head_weights=[[-1]])
    label, scores = BinaryNetwork.open(target).run(np.array([[0.0], [1.0]], np.float32))
    assert (label.tolist(), scores.tolist()) == ([0, 0], [[1.0], [-1.0]])


def test_messages_name_the_file(tmp_path):
    """A refused file is named in a note, for whoever reads the traceback."""
    target = tmp_path / "broken.safetensors"
    target.write_bytes(b"")
    with pytest.raises(ModelFormatError, match=re.escape("file: 0 bytes hold no header length")) as caught:
        BinaryNetwork.open(target)
    assert caught.value.__notes__ == [f"while reading {target}"]


def test_the_format_of_a_file_is_read_without_its_tensors(path, tmp_path):
    """A file's format stands in its header; a file that is none is refused as when it is opened."""
    assert format_of(path) == "liam.binary_network"
    cut = tmp_path / "cut"
    cut.write_bytes(path.read_bytes()[:-64])
    assert format_of(cut) == "liam.binary_network"
    cut.write_bytes(b"")
    with pytest.raises(ModelFormatError, match="hold no header length"):
        format_of(cut)
