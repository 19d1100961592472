"""The operators that an import knows, by what they are to it. Everything else is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from onnx import NodeProto

DOMAINS: Final = frozenset({"qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"})
"""Domains of QONNX's own operators, as exporters have named them over the years."""

QONNX: Final = frozenset({"BipolarQuant", "MultiThreshold", "XnorPopcountMatMul"})
"""Operators of QONNX. Old exporters left out their domain; ONNX itself has no operators of these names."""

MIN_OPSET: Final = 9
"""Before it, BatchNormalization and broadcasting were other operators."""

# Attributes that each operator may have. One that is not listed could change what it computes.
_ON_THE_WAY: Final[dict[str, frozenset[str]]] = {
    "Add": frozenset(),
    "ArgMax": frozenset({"axis", "keepdims", "select_last_index"}),
    "BatchNormalization": frozenset({"epsilon", "momentum", "training_mode"}),
    "BipolarQuant": frozenset(),
    "Div": frozenset(),
    "Dropout": frozenset({"ratio", "seed"}),
    "Flatten": frozenset({"axis"}),
    "Gemm": frozenset({"alpha", "beta", "transA", "transB"}),
    "Identity": frozenset(),
    "MatMul": frozenset(),
    "Mul": frozenset(),
    "MultiThreshold": frozenset({"data_layout", "out_bias", "out_dtype", "out_scale"}),
    "Reshape": frozenset({"allowzero"}),
    "Sub": frozenset(),
    "XnorPopcountMatMul": frozenset(),
}
_OF_CONSTANTS: Final[dict[str, frozenset[str]]] = {
    "Add": frozenset(),
    "BipolarQuant": frozenset(),
    "Cast": frozenset({"to"}),
    "Constant": frozenset({"value", "value_float", "value_floats", "value_int", "value_ints"}),
    "Div": frozenset(),
    "Flatten": frozenset({"axis"}),
    "Identity": frozenset(),
    "Mul": frozenset(),
    "Neg": frozenset(),
    "Pow": frozenset(),
    "Reshape": frozenset({"allowzero"}),
    "Sqrt": frozenset(),
    "Squeeze": frozenset({"axes"}),
    "Sub": frozenset(),
    "Transpose": frozenset({"perm"}),
    "Unsqueeze": frozenset({"axes"}),
}


def check(node: NodeProto, *, of_constants: bool) -> None:
    """Refuse a node that is none of the subset, by its operator, its domain or an attribute."""
    known = _OF_CONSTANTS if of_constants else _ON_THE_WAY
    domain = "" if node.domain == "ai.onnx" else node.domain
    permitted = {"", *DOMAINS} if node.op_type in QONNX else {""}
    if node.op_type not in known or domain not in permitted:
        named = f"{domain}.{node.op_type}" if domain else node.op_type
        place = "that makes a constant" if of_constants else "between the input and the scores"
        raise refused(
            node, f"{named} is no operator {place} that can be imported; those are {', '.join(sorted(known))}"
        )
    for attribute in node.attribute:
        if attribute.name not in known[node.op_type]:
            raise refused(node, f"it has the attribute {attribute.name!r}, which is not understood")
