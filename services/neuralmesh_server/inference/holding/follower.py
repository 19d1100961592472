"""Follows the registry: keeps the replica current and the node's key known, through every cut of the line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from neuralmesh_server.inference.holding.records import DivergedError
from neuralmesh_server.inference.links import LinkError
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuralmesh_server.inference.holding.replica import Replica
    from neuralmesh_server.inference.links import RegistryLink

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 0.05
KEEP_AGAIN_SECONDS = 1.0


class NodeNameTakenError(SettingsError):
    """Another node issues prediction ids under this node's name."""


class Follower:
    """Follows until cancelled.

    Args:
        registry: The registry.
        replica: What is kept current.
        node: Name of this node, for messages.
        key: This node's key for prediction ids.
        changed: Called after each change of the replica, on the loop.
        connected: Called each time the registry is reached after a pause, on the loop.
        longest_pause: Longest pause in seconds before the registry is tried again.
    """

    def __init__(
        self,
        *,
        registry: RegistryLink,
        replica: Replica,
        node: str,
        key: bytes,
        changed: Callable[[], None],
        connected: Callable[[], None],
        longest_pause: float,
    ) -> None:
        self._registry = registry
        self._replica = replica
        self._node = node
        self._key = key
        self._changed = changed
        self._on_connected = connected
        self._longest_pause = longest_pause
        self._pause = FIRST_PAUSE_SECONDS
        self._registered = False
        self._connected = False
        self._last_reason = ""
        self._need_snapshot = replica.revision == 0 or replica.outdated

    @property
    def connected(self) -> bool:
        """True while the registry is followed."""
        return self._connected

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            NodeNameTakenError: The registry knows another key for the node's name.
        """
        while True:
            try:
                await self._follow()
            except DivergedError as error:
                log.warning("replica_diverged", revision=self._replica.revision, why=str(error))
                self._need_snapshot = True
            except LinkError as error:
                self._report(error)
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, self._longest_pause)

    async def _follow(self) -> None:
        self._registered = False
        await self._register()
        self._on_connected()  # the stream itself may be silent until something changes
        revision, digest = (0, b"") if self._need_snapshot else (self._replica.revision, self._replica.digest())
        async for step in self._registry.watch(revision, digest):
            if not self._connected:
                log.info("registry_followed", revision=step.revision)
            self._connected, self._pause = True, FIRST_PAUSE_SECONDS
            changed = self._replica.apply(step)
            first = self._need_snapshot and (step.part is None or step.part.last)
            if first:
                self._need_snapshot = False
            if changed or first:
                self._changed()
            await self._register()

    async def _register(self) -> None:
        if self._registered:
            return
        try:
            await self._registry.register_node(self._key)
        except LinkError as error:
            if error.reason == "NODE_KEY_CONFLICT":
                log.warning("node_name_taken", node=self._node, why=str(error))
                raise NodeNameTakenError(
                    f"NEURALMESH_NODE: another node is registered as {self._node!r} with another key; give this one "
                    "another name, or its old data folder back"
                ) from error
            if error.unreachable:
                raise
            # Following matters more than the key; the next step tries again.
            log.warning("node_not_registered", node=self._node, why=str(error))
            return
        self._registered = True

    def _report(self, error: LinkError) -> None:
        repeated, self._last_reason = error.reason == self._last_reason, error.reason
        if repeated and not self._connected:
            return
        if error.reason == "REVISION_AHEAD":
            log.warning(
                "registry_behind_node",
                revision=self._replica.revision,
                why=str(error),
                hint="the registry was restored from an older copy; this node goes on serving what it has",
            )
        else:
            log.warning("registry_lost", why=str(error), revision=self._replica.revision)
        self._connected = False


class ReplicaStore(Protocol):
    """Where the replica is kept over a restart."""

    def encode(self, replica: Replica, effective: Mapping[tuple[str, str], int]) -> bytes:
        """Return what `save` takes."""

    def save(self, content: bytes) -> None:
        """Keep it durably; blocks."""


async def to_the_end(work: Callable[[], None]) -> None:
    """Do work in a thread; a cancellation waits until it is done, so that nobody does the same beside it."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.gather(doing, return_exceptions=True)
        raise


class Keeper:
    """Writes the replica to disk after changes, one write at a time, the newest state only; again where that failed.

    Args:
        store: Where it is kept.
        replica: What is kept.
        effective: The version that answers each alias, by model and alias.
        pause: Seconds until a write that failed is tried again.
        saved: Called after each write, on the loop.

    Attributes:
        kept: Revision and digest of the state that is on the disk.
    """

    def __init__(
        self,
        store: ReplicaStore,
        replica: Replica,
        effective: Callable[[], Mapping[tuple[str, str], int]],
        *,
        pause: float = KEEP_AGAIN_SECONDS,
        saved: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._replica = replica
        self._effective = effective
        self._pause = pause
        self._on_saved = saved
        self._dirty = asyncio.Event()
        self._keeping = asyncio.Lock()
        self._content = b""
        self.kept = (0, b"")

    def mark(self) -> None:
        """Take note that there may be something new to keep."""
        self._dirty.set()

    async def run(self) -> None:
        """Keep until cancelled."""
        while True:
            await self._dirty.wait()
            if not await self.keep():
                await asyncio.sleep(self._pause)
                self._dirty.set()

    async def keep(self) -> bool:
        """Write now, unless nothing is new; returns whether the newest state is kept."""
        async with self._keeping:
            return await self._keep()

    async def _keep(self) -> bool:
        self._dirty.clear()
        state = (self._replica.revision, self._replica.digest())
        content = self._store.encode(self._replica, self._effective())
        if content == self._content:
            return True
        try:
            await to_the_end(lambda: self._store.save(content))
        except OSError as error:
            log.warning("replica_not_kept", why=str(error))
            return False
        self._content, self.kept = content, state
        self._on_saved()
        return True
