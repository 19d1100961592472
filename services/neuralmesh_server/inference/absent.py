"""The methods of the contract that this server does not offer: they say so, and what to use instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh_server import names
from neuralmesh_server.errors import NotFoundError, NotSupportedError

if TYPE_CHECKING:
    from neuralmesh_server.inference.serving import Serving
    from neuralmesh_server.runtime.handlers import Call

_SHARED_MEMORY = "shared memory is not offered; on one machine, use the node's Unix socket"


class Absent:
    """What is missing."""

    _serving: Serving

    async def system_shared_memory_status(self, request: Any, call: Call) -> Any:
        """Not offered."""
        raise _absent("system_shared_memory", _SHARED_MEMORY, request, call)

    async def system_shared_memory_register(self, request: Any, call: Call) -> Any:
        """Not offered."""
        raise _absent("system_shared_memory", _SHARED_MEMORY, request, call)

    async def system_shared_memory_unregister(self, request: Any, call: Call) -> Any:
        """Not offered."""
        raise _absent("system_shared_memory", _SHARED_MEMORY, request, call)

    async def cuda_shared_memory_status(self, request: Any, call: Call) -> Any:
        """Not offered."""
        raise _absent("cuda_shared_memory", _SHARED_MEMORY, request, call)

    async def cuda_shared_memory_register(self, request: Any, call: Call) -> Any:
        """Not offered."""
        raise _absent("cuda_shared_memory", _SHARED_MEMORY, request, call)

    async def cuda_shared_memory_unregister(self, request: Any, call: Call) -> Any:
        """Not offered."""
        raise _absent("cuda_shared_memory", _SHARED_MEMORY, request, call)

    async def trace_setting(self, request: Any, call: Call) -> Any:
        """Not offered; an unknown model is NOT_FOUND all the same."""
        model = request.model_name
        if model and model not in self._serving.snapshot().models:
            names.check_model(model)
            raise NotFoundError("MODEL_NOT_FOUND", f"model {model!r} is not known here", model=model)
        why = "trace settings are not offered; a model's receipt policy says what is recorded"
        raise _absent("trace", why, request, call)

    async def log_settings(self, request: Any, call: Call) -> Any:
        """Not offered."""
        raise _absent("logging", "log settings are not offered over the protocol", request, call)


def _absent(feature: str, why: str, *unused: object) -> NotSupportedError:
    del unused
    return NotSupportedError("NOT_SUPPORTED", why, feature=feature)
