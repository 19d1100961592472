"""What the backends open, what they refuse, and that they never look outside the version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liam_core import BinaryNetwork
from neuralmesh_server.errors import InternalError, InvalidArgumentError
from neuralmesh_server.inference.backends import warmup
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.backends.liam import LiamBackend, LiamModel
from neuralmesh_server.inference.backends.onnx import OnnxBackend
from neuralmesh_server.inference.backends.onnx_scan import ScanError, scan
from neuralmesh_server.inference.tensors import DTYPES, Signature, TensorSpec, from_raw, to_raw
from tests.inference import models


def files(folder: Path, **contents: bytes) -> dict[str, Path]:
    """Write files, with `__` for a dot in their names."""
    paths = {}
    for name, content in contents.items():
        real = name.replace("__", ".")
        paths[real] = folder / f"blob-{real}"
        paths[real].write_bytes(content)
    return paths


@pytest.mark.parametrize("datatype", sorted(models.ONNX_TYPES))
def test_every_datatype_passes_through_onnx(tmp_path: Path, datatype: str) -> None:
    """A model that answers its input gives the same raw elements back, for every datatype of the runtime."""
    model = OnnxBackend().load(files(tmp_path, m__onnx=models.identity_onnx(datatype)))
    assert model.signature.inputs == (TensorSpec("x", datatype, (-1, 2)),)
    warmup.check(model, None)
    raw = b"\1\0\0\0a\2\0\0\0\xc3\xa4" if datatype == "BYTES" else np.array([0, 1], DTYPES[datatype]).tobytes()
    output = model.run({"x": from_raw(datatype, (1, 2), raw)})["y"]
    assert to_raw(datatype, output) == raw


def test_text_that_is_not_utf8_is_the_callers_error(tmp_path: Path) -> None:
    """Onnxruntime's strings are text; bytes that are none name the input."""
    model = OnnxBackend().load(files(tmp_path, m__onnx=models.identity_onnx("BYTES")))
    with pytest.raises(InvalidArgumentError) as failure:
        model.run({"x": from_raw("BYTES", (1, 2), b"\1\0\0\0\xff\0\0\0\0")})
    assert failure.value.metadata == {"input": "x"}


def test_external_data_comes_from_the_version(tmp_path: Path) -> None:
    """A tensor stored in another file of the version is read from there."""
    model, content = models.external_onnx("weights.bin")
    opened = OnnxBackend().load(files(tmp_path, m__onnx=model, weights__bin=content))
    assert opened.run({"x": np.zeros((1, 2), np.float32)})["y"].tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret", "secret", "", "a/../secret"])
def test_external_data_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str) -> None:
    """A location that is no file of the version is refused, even where such a file lies beside the process."""
    model, content = models.external_onnx(location)
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    for place in (inside / "secret", tmp_path / "secret"):
        place.write_bytes(content)
    with pytest.raises(LoadError, match="no file of the version"):
        OnnxBackend().load(files(tmp_path, m__onnx=model))


def test_external_data_inside_a_subgraph_is_found() -> None:
    """A tensor within a node's attribute within a branch is looked at, too."""
    import onnx
    from onnx import helper

    tensor = onnx.TensorProto(name="t", data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="deep")
    branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "b", [], [])
    graph = helper.make_graph(
        [helper.make_node("If", ["i"], ["o"], then_branch=branch, else_branch=branch)], "g", [], []
    )
    assert scan(helper.make_model(graph).SerializeToString()).files == {"deep"}


@given(st.binary(max_size=200))
def test_any_bytes_are_scanned_or_refused(data: bytes) -> None:
    """Hostile bytes end in ScanError or in a set of names."""
    try:
        names = scan(data).files
    except ScanError as error:
        names = {str(error)}
    assert all(isinstance(name, str) for name in names)


def test_deep_nesting_is_refused() -> None:
    """Messages nested without end do not exhaust the stack."""
    data = b""
    for _ in range(40):  # graph in attribute in node in graph
        for number in (6, 5, 1):
            length = len(data)
            size = bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14])
            data = bytes([number << 3 | 2]) + size + data
    with pytest.raises(ScanError, match="nested"):
        scan(b"\x3a" + bytes([len(data) & 0x7F | 0x80, len(data) >> 7]) + data)


@pytest.mark.parametrize("names", [(), ("a__txt", "b__txt"), ("a__onnx", "b__onnx")])
def test_a_version_without_one_model_file_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Which file is the model must be plain."""
    paths = files(tmp_path, **dict.fromkeys(names, models.digits_onnx()))
    with pytest.raises(LoadError, match=r"one file that ends in \.onnx"):
        OnnxBackend().load(paths)


def test_a_packed_network_is_one_file(tmp_path: Path) -> None:
    """Further files beside a network are refused."""
    content = models.digits_liam(tmp_path)
    with pytest.raises(LoadError, match="has one file"):
        LiamBackend().load(files(tmp_path, a=content, b=content))


@given(position=st.integers(0, 2000), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_network_is_opened_or_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    """Damage in a packed network never does worse than LoadError."""
    folder = tmp_path_factory.mktemp("network")
    content = bytearray(models.digits_liam(folder))
    content[position % len(content)] ^= 1 << bit
    try:
        model = LiamBackend().load(files(folder, network=bytes(content)))
    except LoadError:
        return
    warmup.check(model, None)


def test_a_model_that_fails_is_the_servers_error(tmp_path: Path) -> None:
    """A failure inside the runtime is MODEL_FAILED."""
    model = OnnxBackend().load(files(tmp_path, m__onnx=models.failing_onnx()))
    warmup.check(model, None)
    with pytest.raises(InternalError) as failure:
        model.run({"x": np.zeros((50, 2), np.float32)})
    assert failure.value.reason == "MODEL_FAILED"


X = TensorSpec("input", "FP32", (-1, 64))
LABEL = TensorSpec("label", "INT64", (-1,))
SCORES = TensorSpec("scores", "FP32", (-1, 10))


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        (Signature((TensorSpec("x", "FP32", (-1, 64)),), (LABEL, SCORES)), "declares the inputs"),
        (Signature((X,), (LABEL,)), "declares the outputs"),
        (Signature((TensorSpec("input", "FP64", (-1, 64)),), (LABEL, SCORES)), "declared as FP64"),
        (Signature((TensorSpec("input", "FP32", (-1, 65)),), (LABEL, SCORES)), "declared with shape"),
        (Signature((TensorSpec("input", "FP32", (-1, -1)),), (LABEL, SCORES)), "declared with shape"),
        (Signature((X,), (LABEL, SCORES), "scores"), "labels are INT64 or BYTES"),
        (Signature((X,), (LABEL, SCORES), "nothing"), "is no output"),
    ],
)
def test_a_model_that_is_not_what_was_declared_is_refused(tmp_path: Path, declared: Signature, why: str) -> None:
    """Names, datatypes, shapes and the label output are held against the declared signature."""
    model = OnnxBackend().load(files(tmp_path, m__onnx=models.digits_onnx()))
    with pytest.raises(LoadError, match=why):
        warmup.check(model, declared)


def test_outputs_may_be_declared_in_another_order(tmp_path: Path) -> None:
    """The declared order counts; the raw way, whose order is fixed, is then not used."""
    model = LiamBackend().load(files(tmp_path, network=models.digits_liam(tmp_path)))
    assert warmup.check(model, Signature((X,), (LABEL, SCORES), "label")).raw
    swapped = warmup.check(model, Signature((X,), (SCORES, LABEL), "label"))
    assert (swapped.raw, swapped.label_index) == (False, 1)


def test_rows_of_a_network_never_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the clock sees no difference between one row and many, a row still counts, so that rows stay bounded."""
    monkeypatch.setattr(warmup, "_time", lambda *_: 100)
    path = tmp_path / "n.safetensors"
    models.small_liam(path)
    checked = warmup.check(LiamModel(BinaryNetwork.open(path)), None)
    assert (checked.raw, checked.base_ns, checked.row_ns) == (True, 99, 1)
