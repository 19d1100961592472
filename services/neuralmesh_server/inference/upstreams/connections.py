"""Connections to upstreams: one for each target, shared by versions, closed when the last of them is gone.

This is also where the node's own settings are held against what a descriptor wants: addresses that it may call, and
credentials, which go to the one address that they were meant for.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.upstreams.descriptor import TLS_MESH, TLS_OFF
from neuralmesh_server.settings import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.inference.upstreams.link import Target, UpstreamLink
    from neuralmesh_server.settings import TlsSettings, UpstreamCredentials, UpstreamSettings

    Connect = Callable[[Target, UpstreamCredentials | None, TlsSettings | None], UpstreamLink]
    """Opens a connection, with what belongs to the target's credentials and, for "mesh", the node's own TLS."""


class Connections:
    """Belongs to the loop.

    Args:
        settings: What this node permits and keeps secret.
        tls: The node's own mutual TLS, for targets that want it.
        connect: What makes a connection.
    """

    def __init__(self, settings: UpstreamSettings, tls: TlsSettings | None, connect: Connect) -> None:
        self._settings = settings
        self._tls = tls
        self._connect = connect
        self._links: dict[Target, UpstreamLink] = {}
        self._users: Counter[Target] = Counter()
        self._closing: set[asyncio.Task[None]] = set()

    def open(self, target: Target) -> UpstreamLink:
        """Return the connection to a target, for one more user.

        Raises:
            LoadError: The node's settings do not permit it.
        """
        credentials = self._credentials(target)
        if target not in self._links:
            self._links[target] = self._connect(target, credentials, self._tls)
        self._users[target] += 1
        return self._links[target]

    async def release(self, target: Target) -> None:
        """Take note that a user is gone."""
        if target not in self._users:  # closed with everything else
            return
        self._users[target] -= 1
        if self._users[target] == 0:
            del self._users[target]
            await self._links.pop(target).close()

    def release_with(self, user: object, target: Target) -> None:
        """Release a target when its user, which `open` counted, is no longer referred to by anything."""
        loop = asyncio.get_running_loop()
        finalizer = weakref.finalize(user, _on_loop, loop, lambda: self._release_later(target))
        finalizer.atexit = False

    async def idle(self) -> None:
        """Return when every release that was announced so far is done."""
        await asyncio.sleep(0)  # a release from another thread comes before this
        await asyncio.gather(*self._closing)

    async def close(self) -> None:
        """Close every connection."""
        links, self._links = self._links, {}
        self._users.clear()
        for link in links.values():
            await link.close()
        await self.idle()

    def _release_later(self, target: Target) -> None:
        task = asyncio.create_task(self.release(target))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _credentials(self, target: Target) -> UpstreamCredentials | None:
        if not any(fnmatchcase(target.address, pattern) for pattern in self._settings.permitted):
            raise LoadError(f"NEURALMESH_UPSTREAMS does not permit this node to call {target.address}")
        if target.tls == TLS_MESH and self._tls is None:
            raise LoadError("the descriptor wants the node's own mutual TLS, and this node has none")
        if not target.credentials:
            return None
        found = self._settings.credentials.get(target.credentials)
        if found is None:
            raise LoadError(f"this node has no upstream credentials {target.credentials!r} in its environment")
        if found.address != target.address:
            raise LoadError(f"upstream credentials {target.credentials!r} are not meant for {target.address}")
        if found.token and target.tls == TLS_OFF and not Endpoint.parse(target.address, name="address").is_loopback:
            raise LoadError(f"the token of {target.credentials!r} is not sent to {target.address} in plain text")
        return found


def _on_loop(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    # The last reference may go away in any thread, and after the loop.
    if not loop.is_closed():
        loop.call_soon_threadsafe(action)
