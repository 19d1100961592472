"""Golden sets: what is one, what is refused before anything is allocated, and versions that contradict theirs."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import liam_core
from neuralmesh_server.inference.backends import liam, onnx
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.evidence import golden
from neuralmesh_server.inference.evidence.golden import Golden
from neuralmesh_server.inference.tensors import Signature, TensorSpec
from tests.inference import models
from tests.inference.conftest import Suite, when, when_ready

ROWS = np.random.default_rng(5).random((70, 64), dtype=np.float32)
DIGITS = Signature(
    (TensorSpec("input", "FP32", (-1, 64)),),
    (TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 10))),
    "label",
)


def npz(**arrays: np.ndarray) -> bytes:
    """Return the bytes of an archive of arrays; two underscores stand for a slash."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name.replace("__", "/"): array for name, array in arrays.items()})
    return buffer.getvalue()


def written(folder: Path, content: bytes) -> Path:
    """Return a file with a content."""
    path = folder / "golden.npz"
    path.write_bytes(content)
    return path


def answers(folder: Path, rows: np.ndarray = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Return label and scores of the packed network."""
    models.digits_liam(folder)
    return liam_core.BinaryNetwork.open(folder / "network-0.safetensors").run(rows)


def test_examples_are_rows_or_whole_inputs(tmp_path: Path) -> None:
    """The first axis counts examples; a request has one, with a dimension for rows only where the input has one."""
    found = golden.read(written(tmp_path, npz(input=ROWS)), DIGITS)
    assert isinstance(found, Golden)
    assert (found.count, dict(found.expected)) == (70, {})
    np.testing.assert_array_equal(found.request(DIGITS, 3)["input"], ROWS[3:4])
    fixed = Signature(
        (TensorSpec("x", "FP32", (2, 3)), TensorSpec("name", "BYTES", ())), (TensorSpec("y", "FP32", (3,)),)
    )
    x, names, y = np.ones((4, 2, 3), np.float32), np.array(["a", "b\u00e9", "", "d"]), np.zeros((4, 3), np.float32)
    found = golden.read(written(tmp_path, npz(x=x, name=names, expect__y=y)), fixed)
    request = found.request(fixed, 1)
    assert (request["x"].shape, request["name"].item()) == ((2, 3), "b\u00e9".encode())
    assert found.expected["y"].shape == (4, 3)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"input": ROWS, "other": ROWS}, "no input and no expected output"),
        ({"expect__label": np.zeros(3, np.int64)}, "no array 'input'"),
        ({"input": ROWS.astype(np.float64)}, "is float64"),
        ({"input": ROWS[:, :63]}, "has shape"),
        ({"input": ROWS[0]}, "has shape"),
        ({"input": ROWS[:0]}, "from 1"),
        ({"input": ROWS, "expect__label": np.zeros(3, np.int64)}, "the same number"),
        ({"input": ROWS, "expect__label": np.zeros(70, np.int32)}, "is int32"),
        ({"input": np.array([[object()] * 64], object)}, "Python objects"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], why: str) -> None:
    """A golden set has exactly arrays that the signature names, with their types and shapes; the message says which."""
    with pytest.raises(LoadError, match=why):
        golden.read(written(tmp_path, npz(**arrays)), DIGITS)


def hostile(name: str = "input.npy", header: bytes | None = None, body: bytes = b"") -> bytes:
    """Return an archive of one entry with any header."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = body if header is None else b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body
        archive.writestr(name, entry)
    return buffer.getvalue()


HUGE = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 64), }\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK no archive",
        hostile("input.txt", body=b"x"),
        hostile(body=b"no array"),
        hostile(header=HUGE),
        hostile(header=b"__import__('os').system('false')\n"),
        hostile(header=b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 64), }\n", body=bytes(8)),
        hostile(header=b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 64), }\n", body=bytes(256)),
        hostile(header=b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 64), }\n", body=bytes(10**7)),
        hostile(header=b"{'descr': 'O', 'fortran_order': False, 'shape': (1, 64), }\n", body=b"cos\nsystem\n."),
    ],
    ids=range(10),
)
def test_hostile_archives_are_refused(tmp_path: Path, content: bytes) -> None:
    """No archive makes the node allocate beyond its limit, run anything, or fail in another way."""
    with pytest.raises(LoadError):
        golden.read(written(tmp_path, content), DIGITS)


def test_an_archive_whose_array_begins_before_it_is_refused(tmp_path: Path) -> None:
    """A directory that claims to stand further behind moves its arrays to negative places, which nobody seeks."""
    content = bytearray(npz(input=ROWS[:2]))
    content[-5] += 1
    with pytest.raises(LoadError, match="begins before it"):
        golden.read(written(tmp_path, bytes(content)), DIGITS)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_archive_is_a_golden_set_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """With any byte changed or cut, reading gives arrays of the signature or a LoadError, nothing else."""
    content = bytearray(npz(input=ROWS[:2]))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    try:
        found = golden.read(written(tmp_path, bytes(content)), DIGITS)
    except LoadError:
        return
    assert found.inputs["input"].shape[1:] == (64,)


def test_expected_bits_hold_for_what_promises_bits(tmp_path: Path) -> None:
    """A packed network must answer bit by bit; the last bit of one score in the last example is enough to refuse it."""
    label, scores = answers(tmp_path)
    model = liam.LiamBackend().load({"m": tmp_path / "network-0.safetensors"})
    golden.verify(model, DIGITS, written(tmp_path, npz(input=ROWS, expect__label=label, expect__scores=scores)))
    golden.verify(model, DIGITS, written(tmp_path, npz(input=ROWS)))
    scores = scores.copy()
    scores.view(np.uint32)[-1, -1] ^= 1
    with pytest.raises(LoadError, match="output 'scores' of examples 64 to 69"):
        golden.verify(model, DIGITS, written(tmp_path, npz(input=ROWS, expect__label=label, expect__scores=scores)))


def test_expected_numbers_may_be_near_elsewhere(tmp_path: Path) -> None:
    """An ONNX model may be off by a little in floating point, not in its labels."""
    path = tmp_path / "model.onnx"
    path.write_bytes(models.digits_onnx())
    model = onnx.OnnxBackend().load({"model.onnx": path})
    scores = ROWS @ models.digits_weights()
    label = scores.argmax(1)
    golden.verify(model, DIGITS, written(tmp_path, npz(input=ROWS, expect__scores=scores, expect__label=label)))
    with pytest.raises(LoadError, match="'scores'"):
        golden.verify(model, DIGITS, written(tmp_path, npz(input=ROWS, expect__scores=scores * 1.01)))
    with pytest.raises(LoadError, match="'label'"):
        golden.verify(model, DIGITS, written(tmp_path, npz(input=ROWS, expect__label=(label + 1) % 10)))


async def test_a_version_that_contradicts_its_golden_set_is_not_served(suite: Suite) -> None:
    """The node serves a packed network with the right answers beside it, and refuses one with wrong ones and says why."""
    node = await suite.start_node()
    client = suite.client(node)
    label, scores = answers(suite.folder)
    content = models.digits_liam(suite.folder)

    async def push(**expected: np.ndarray) -> int:
        files = {"model.safetensors": content, "golden.npz": npz(input=ROWS, **expected)}
        version = await client.push("digits", kind="liam.binary_network", files=files, signature=models.DIGITS)
        return int(version.version)

    good = await push(expect__label=label, expect__scores=scores)
    await when_ready(node, "digits", good)
    wrong = await push(expect__label=(label + 1) % 10)

    def refused(snapshot: object) -> bool:
        return ("digits", wrong) in snapshot.states and snapshot.states["digits", wrong].state == "UNAVAILABLE"

    snapshot = await when(node, refused)
    assert "contradicts golden.npz: output 'label' of examples 0 to 31" in snapshot.states["digits", wrong].reason
    answer = await client.infer("digits", {"input": ROWS[:2]})
    assert answer.version == good
