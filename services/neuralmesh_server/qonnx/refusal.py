"""What an import says when a model is none that it takes: which node it is, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from onnx import NodeProto


def refused(node: NodeProto, why: str) -> InvalidArgumentError:
    """Return the error that names a node, its operator and why it is not taken."""
    return InvalidArgumentError(
        "FIELD_INVALID", f"{label(node)}: {why}", field="model", node=node.name, operator=node.op_type
    )


def refused_model(why: str) -> InvalidArgumentError:
    """Return the error about the model as a whole."""
    return InvalidArgumentError("FIELD_INVALID", why, field="model")


def label(node: NodeProto) -> str:
    """Return a node's name and operator; what it makes where it has no name."""
    made = ", ".join(repr(name) for name in node.output if name)
    who = f"node {node.name!r}" if node.name else f"the node that makes {made}"
    return f"{who} ({node.op_type})"
