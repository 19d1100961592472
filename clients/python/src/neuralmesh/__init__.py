"""The client of Neural Mesh: push, serve, promote, measure, roll back and trace versions of models over gRPC.

`Client` is synchronous, `AsyncClient` is the same for asyncio. What calls return are the contract's messages; what they
raise is in `neuralmesh.exceptions`. Each name is imported when it is first used, so that who needs only the generated
messages, as the servers do, does not load the client.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuralmesh import exceptions, oip
    from neuralmesh._async.client import AsyncClient
    from neuralmesh._channel import TlsFiles
    from neuralmesh._sync.client import Client
    from neuralmesh.prediction import Prediction
    from neuralmesh.tensors import Tensor

__all__ = ["AsyncClient", "Client", "Prediction", "Tensor", "TlsFiles", "exceptions", "oip"]

_HOMES = {
    "AsyncClient": "neuralmesh._async.client",
    "Client": "neuralmesh._sync.client",
    "Prediction": "neuralmesh.prediction",
    "Tensor": "neuralmesh.tensors",
    "TlsFiles": "neuralmesh._channel",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        found: object = getattr(import_module(_HOMES[name]), name)
    elif name in __all__:
        found = import_module(f"neuralmesh.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
