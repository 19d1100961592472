"""The standard health service, for names that come and go.

It differs from grpcio's own in three things: a name can be forgotten, several watchers of one name do not disturb one
another, and one that does not read holds up nobody.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from grpc import StatusCode
from grpc_health.v1 import health_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Answers Check and Watch; belongs to the loop. A server that shuts down says NOT_SERVING from then on."""

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {}
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._stopping = False

    def set(self, name: str, *, serving: bool) -> None:
        """Set the health of a name."""
        if self._serving.get(name) is not serving:
            self._serving[name] = serving
            self._tell(name)

    def forget(self, name: str) -> None:
        """Know a name no more."""
        if self._serving.pop(name, None) is not None:
            self._tell(name)

    def shut_down(self) -> None:
        """Say NOT_SERVING for every name that is known, for good."""
        self._stopping = True
        for name in self._watchers:
            self._tell(name)

    def status(self, name: str) -> Any:
        """Return the status of a name, SERVICE_UNKNOWN when it is not known."""
        serving = self._serving.get(name)
        if serving is None:
            return UNKNOWN
        return SERVING if serving and not self._stopping else NOT_SERVING

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's
        """Answer with the status of a name; NOT_FOUND when it is not known."""
        status = self.status(request.service)
        if status == UNKNOWN:
            await context.abort(StatusCode.NOT_FOUND, "this server has no such service or model")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the contract's
        """Yield the status of a name at first and after each change; what was overtaken is left out."""
        del context
        name, changed, last = request.service, asyncio.Event(), None
        self._watchers.setdefault(name, set()).add(changed)
        try:
            while True:
                changed.clear()
                status = self.status(name)
                if status != last:
                    last = status
                    yield health_pb2.HealthCheckResponse(status=status)
                if self._stopping:  # a stream without end would use up the time that accepted calls have
                    return
                await changed.wait()
        finally:
            watchers = self._watchers[name]
            watchers.discard(changed)
            if not watchers:
                del self._watchers[name]

    def _tell(self, name: str) -> None:
        for changed in self._watchers.get(name, ()):
            changed.set()
