"""What is read of an ONNX model before a runtime sees it, and which models run on the loop."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from neuralmesh_server.inference.backends import onnx_scan
from neuralmesh_server.inference.backends.execution import INLINE_NS, MEASURED_ROWS, UNLIMITED_ROWS, quick_rows
from neuralmesh_server.inference.backends.onnx import OnnxBackend
from neuralmesh_server.inference.backends.onnx_cost import PREDICTABLE, RANDOM, is_predictable
from neuralmesh_server.inference.backends.onnx_scan import ScanError, scan
from neuralmesh_server.inference.reporting.activity import VersionActivity
from neuralmesh_server.inference.serving import LoadedModel
from neuralmesh_server.inference.tensors import Signature, TensorSpec
from tests.inference import models


def info(name: str, shape: list[object]) -> onnx.ValueInfoProto:
    """Return a FLOAT tensor's description."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def model(nodes: list[onnx.NodeProto], functions: list[onnx.FunctionProto] | None = None) -> bytes:
    """Return a model of one input and one output."""
    graph = helper.make_graph(nodes, "g", [info("x", ["n", 2])], [info("y", ["n", 2])])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions or []).SerializeToString()


def branching(inner: str) -> onnx.NodeProto:
    """Return an If whose branches use an operator."""
    branches = {
        name: helper.make_graph([helper.make_node(inner, ["x"], ["z"])], name, [], [info("z", ["n", 2])])
        for name in ("then_branch", "else_branch")
    }
    return helper.make_node("If", ["flag"], ["y"], **branches)


def test_operators_are_found_wherever_they_stand() -> None:
    """Operators of the graph, of graphs in attributes and of functions are named with their domain."""
    function = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Range", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    nodes = [
        branching("NonZero"),
        helper.make_node("Relu", ["x"], ["r"], domain="ai.onnx"),
        helper.make_node("Twice", ["x"], ["y"], domain="own"),
    ]
    assert scan(model(nodes, [function])).operators == {
        ("", "If"), ("", "NonZero"), ("", "Relu"), ("own", "Twice"), ("", "Range"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "Loop", "If", "Scan", "SequenceMap", "NonZero", "NonMaxSuppression", "Compress", "Unique", "Range", "Tile",
        "Expand", "ConstantOfShape", "Resize", "RandomNormal", "Bernoulli", "Multinomial", "OneHot", "LSTM", "Pad",
    ],
)  # fmt: skip
def test_operators_whose_cost_follows_values_are_not_foreseen(name: str) -> None:
    """An operator that loops, branches, draws lots or makes tensors as large as a value says is never on the loop."""
    assert onnx.defs.has(name)
    assert not is_predictable({("", "MatMul"), ("", name)})
    assert is_predictable({("", "MatMul"), ("", "Relu")})


def test_operators_of_unknown_domains_are_not_foreseen() -> None:
    """A name alone does not say what an operator of another domain does."""
    assert not is_predictable({("com.microsoft", "MatMul")})
    assert not is_predictable({("own", "Relu")})


def test_every_known_operator_exists() -> None:
    """The lists hold operators of the standard and no misspelt ones."""
    assert [name for domain, name in sorted(PREDICTABLE | RANDOM) if not onnx.defs.has(name, domain)] == []
    assert PREDICTABLE.isdisjoint(RANDOM)


def test_a_model_that_draws_lots_promises_nothing(tmp_path: Path) -> None:
    """The answers of a model with a random operator are not said to repeat."""
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["r"]), helper.make_node("Add", ["x", "r"], ["y"])]
    assert opened(model(nodes), tmp_path).exact == "unverified"
    assert opened(model([helper.make_node("Add", ["x", "x"], ["y"])]), tmp_path).exact == "build"


@given(st.integers(1, 300), st.integers(0, 2**63 - 1))
def test_numbers_in_a_row_are_passed_over(count: int, number: int) -> None:
    """Attributes of numbers only, as trees have them, hide nothing that comes after them."""
    attribute = onnx.AttributeProto(name="a", type=onnx.AttributeProto.INTS)
    attribute.ints.extend([number, -1] * count)
    attribute.floats.extend([0.1] * count)
    node = helper.make_node("Sub", ["x", "x"], ["y"])
    node.attribute.append(attribute)
    attribute = node.attribute.add(name="t", type=onnx.AttributeProto.TENSOR)
    attribute.t.data_location = TensorProto.EXTERNAL
    attribute.t.external_data.add(key="location", value="weights")
    attribute.t.double_data.extend([1.5] * count)
    found = scan(model([node]))
    assert found.files == {"weights"}
    assert found.operators == {("", "Sub")}


@given(st.binary(max_size=200))
def test_the_scan_agrees_with_a_parser(data: bytes) -> None:
    """Bytes that onnx itself can parse are scanned, and nothing is missed; others are scanned or refused."""
    parsed = onnx.ModelProto()
    try:
        parsed.ParseFromString(data)
    except Exception:  # noqa: BLE001 - protobuf's errors have no base that it names
        parsed = None
    try:
        found = scan(data)
    except ScanError:
        return
    if parsed is not None:
        assert {node.op_type for node in parsed.graph.node} <= {name for _, name in found.operators}


def test_a_model_of_too_many_parts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of parts that are looked at is bounded, whatever their depth."""
    monkeypatch.setattr(onnx_scan, "MAX_PARTS", 1000)
    content = helper.make_model(helper.make_graph([], "g", [], [])).SerializeToString()
    assert scan(content + b"\x12\x00" * 900).files == set()
    with pytest.raises(ScanError, match="more than 1000 parts"):
        scan(content + b"\x12\x00" * 1001)


def loaded(runner: object, signature: Signature, base_ns: int = 1000, row_ns: int = 100) -> LoadedModel:
    """Return a loaded version of given costs."""
    return LoadedModel(
        model="m", version=1, uid=1, digest="", kind="onnx", signature=signature, runner=runner, size_bytes=1,
        base_ns=base_ns, row_ns=row_ns, label_index=-1, activity=VersionActivity("m", 1, ""), run_raw=None,
    )  # fmt: skip


def opened(content: bytes, folder: Path) -> object:
    """Return the runner of a model."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    return OnnxBackend().load({"model.onnx": path})


def test_quick_rows_follow_the_measured_cost(tmp_path: Path) -> None:
    """A predictable model runs on the loop for as many rows as were measured and are cheap enough, others never."""
    runner = opened(models.digits_onnx(), tmp_path)
    assert runner.predictable_cost
    signature = runner.signature
    assert quick_rows(loaded(runner, signature)) == MEASURED_ROWS
    assert quick_rows(loaded(runner, signature, row_ns=0)) == MEASURED_ROWS
    assert quick_rows(loaded(runner, signature, row_ns=10_000)) == 4
    assert quick_rows(loaded(runner, signature, base_ns=INLINE_NS)) == 0
    looping = opened(models.looping_onnx(3), tmp_path)
    assert not looping.predictable_cost
    assert quick_rows(loaded(looping, looping.signature)) == 0


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(-1, 4)], MEASURED_ROWS),
        ([(2, 4)], UNLIMITED_ROWS),
        ([()], UNLIMITED_ROWS),
        ([(-1, -1)], 0),
        ([(-1, 4), (-1, 3)], MEASURED_ROWS),
        ([(-1, 4), (3,)], 0),
    ],
)
def test_a_second_free_dimension_is_not_foreseen(tmp_path: Path, shapes: list[tuple[int, ...]], expected: int) -> None:
    """Only the number of rows may be free, and the same one for all inputs, since only rows were measured."""
    runner = opened(models.digits_onnx(), tmp_path)
    inputs = tuple(TensorSpec(f"x{index}", "FP32", shape) for index, shape in enumerate(shapes))
    row_ns = 100 if expected == MEASURED_ROWS else 0
    assert quick_rows(loaded(runner, Signature(inputs, ()), row_ns=row_ns)) == expected
