"""The door to a node within this program: `neuralmesh.embedded.Node(store=...)`, for who has the servers installed too.

A node is server code with a compiled kernel, which the client's own wheel does not hold; this module imports it when it
is asked for, and nothing else of the client does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuralmesh_server.embedded.node import Node

__all__ = ["Node"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from neuralmesh_server.embedded.node import Node  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"neuralmesh_server", "liam_core"}:
            raise
        raise ImportError(
            "neuralmesh.embedded needs the distribution `neuralmesh`; only `neuralmesh-client` is installed"
        ) from error
    return Node
