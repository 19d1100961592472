"""A node as the registry sees one: it keeps what it is sent, proves it by a digest of its own, and reports.

The digest is computed from the messages alone, so that it holds the registry's against a second reading of the contract.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from neuralmesh.mesh.v1 import mesh_service_pb2 as api
from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server import state_digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

APPLIED = api.Report.OUTCOME_APPLIED
REFUSED = api.Report.OUTCOME_REFUSED
SECONDS = 20.0
"""How long a test waits for what must happen."""

_MODES = {resources.ReceiptPolicy.MODE_SAMPLED: "sampled", resources.ReceiptPolicy.MODE_ALL: "all"}


class Node:
    """A node that applies whatever it is sent, unless it is told to refuse.

    Attributes:
        models: What it holds, by the models' names.
        revision: That of its last message.
        messages: Everything that it was sent.
        refuses: It refuses states and keeps what it had.
        silent: It reports nothing.
    """

    def __init__(self, name: str, key: bytes | None = None, **labels: str) -> None:
        self.name = name
        self.key = key or name.encode().ljust(32, b".")[:32]
        self.labels = {label.replace("_", "-"): value for label, value in labels.items()}
        self.models: dict[str, Any] = {}
        self.revision = 0
        self.messages: list[Any] = []
        self.refuses = False
        self.silent = False
        self.figures = api.NodeFigures()
        self._outgoing: asyncio.Queue[Any] = asyncio.Queue()
        self._changed = asyncio.Condition()

    @property
    def digest(self) -> bytes:
        """Digest of what it holds."""
        return digest_of(self.models.values())

    def alias(self, model: str = "digits", alias: str = "production") -> int | None:
        """Version that an alias names here; None where there is no such alias."""
        held = self.models.get(model)
        names = {} if held is None else {one.name.rsplit("/", 1)[1]: one.state.version for one in held.aliases}
        return names.get(alias)

    def hello(self, **fields: Any) -> Any:
        """Return its hello."""
        said = {
            "node": self.name,
            "labels": self.labels,
            "applied_revision": self.revision,
            "state_digest": self.digest if self.revision else b"",
            "id_key": self.key,
        }
        return api.SyncRequest(hello=api.Hello(**(said | fields)))

    def say(self, outcome: int = 0, **fields: Any) -> None:
        """Send a report."""
        said = {"revision": self.revision, "state_digest": self.digest, "figures": self.figures}
        self._outgoing.put_nowait(api.SyncRequest(report=api.Report(outcome=outcome, **(said | fields))))  # type: ignore[arg-type]

    async def run(self, stub: Any, **hello: Any) -> None:
        """Follow until the stream ends; raises its error."""
        self._outgoing = asyncio.Queue()
        call = stub.Sync(self._requests(self.hello(**hello)))
        try:
            async for message in call:
                self._take(message)
                async with self._changed:
                    self._changed.notify_all()
        finally:
            call.cancel()

    @contextlib.asynccontextmanager
    async def following(self, stub: Any) -> AsyncIterator[Node]:
        """Follow while the block runs, from the first message on."""
        seen = len(self.messages)
        task = asyncio.create_task(self.run(stub))
        try:
            await self.until(lambda: len(self.messages) > seen, task)
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until(self, condition: Any, task: asyncio.Task[None] | None = None) -> None:
        """Return when a condition holds after a message; raises the error of a task that ends before."""
        async with asyncio.timeout(SECONDS), self._changed:
            while not condition():
                if task is not None and task.done():
                    task.result()
                    raise AssertionError("the stream ended")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.2)

    async def _requests(self, hello: Any) -> AsyncIterator[Any]:
        yield hello
        while True:
            yield await self._outgoing.get()

    def _take(self, message: Any) -> None:
        assert message.revision >= self.revision, "the revision went down"
        self.messages.append(message)
        is_state = message.whole or message.models or message.removed_models
        if is_state and self.refuses:
            if not self.silent:
                self.say(REFUSED, revision=message.revision, reason="full")
            return
        if message.whole:
            self.models = {}
        for name in message.removed_models:
            del self.models[name]
        for state in message.models:
            self.models[state.model.name.removeprefix("models/")] = state
        assert self.digest == message.state_digest, "the digest does not hold"
        self.revision = message.revision
        if is_state and not self.silent:
            self.say(APPLIED)


def digest_of(models: Iterable[Any]) -> bytes:
    """Return the digest of model states, as the contract describes it."""
    total = state_digest.StateDigest()
    for state in models:
        name = state.model.name.removeprefix("models/")
        total.add(state_digest.model_entry(name, state.model.uid))
        for version in state.versions:
            total.add(state_digest.version_entry(name, version.version, version.digest))
        for alias in state.aliases:
            below = alias.rollback_versions[0] if alias.rollback_versions else 0
            short = alias.name.rsplit("/", 1)[1]
            total.add(state_digest.alias_entry(name, short, alias.revision, _state(alias.state), below))
        if state.model.HasField("policy"):
            total.add(state_digest.policy_entry(name, _policy(state.model.policy)))
        if state.HasField("staleness"):
            total.add(state_digest.staleness_entry(name, state.staleness.action, state.staleness.after_seconds))
    return total.value()


def _state(state: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"version": state.version}
    for arm in ("canary", "shadow"):
        if state.HasField(arm):
            value = getattr(state, arm)
            found[arm] = {"version": value.version, "share_ppm": value.share_ppm}
    if state.HasField("sticky_key"):
        found["sticky_key"] = {"source": state.sticky_key.source, "key": state.sticky_key.key}
    return found


def _policy(policy: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if policy.HasField("receipts"):
        receipts = policy.receipts
        found["receipts"] = {
            "mode": _MODES.get(receipts.mode, "off"),
            "sample_ppm": receipts.sample_ppm,
            "content": "payloads" if receipts.content == resources.ReceiptPolicy.CONTENT_PAYLOADS else "digests",
            "max_age_seconds": receipts.max_age_seconds,
            "max_bytes": receipts.max_bytes,
        }
    for part in ("batching", "limits"):
        if policy.HasField(part):
            message = getattr(policy, part)
            found[part] = {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
    return found
