"""Reads attributes of nodes, which a file may give any type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from onnx import helper

from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from onnx import AttributeProto, NodeProto

Value = TypeVar("Value", int, float, str)


def attribute_of(node: NodeProto, name: str, default: Value) -> Value:
    """Return the value of an attribute, or the default where the node does not have it.

    Raises:
        InvalidArgumentError: The attribute has another type than the default.
    """
    for attribute in node.attribute:
        if attribute.name == name:
            value = value_of(node, attribute)
            value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            if type(value) is not type(default):
                raise refused(node, f"its attribute {name!r} is no {type(default).__name__}")
            return value
    return default


def value_of(node: NodeProto, attribute: AttributeProto) -> Any:
    """Return the value of an attribute, whatever its type.

    Raises:
        InvalidArgumentError: It has none.
    """
    try:
        return helper.get_attribute_value(attribute)
    except ValueError as error:
        raise refused(node, f"its attribute {attribute.name!r} has no value") from error
