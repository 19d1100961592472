"""The recorder: what waits to be written, when it is, and what was lost.

A request pays for a decision and a reference; hashing and writing happen in a thread, a few times a second. The hot
path's receipts come as digests that the codec has made already. What finds no room in memory or on the disk is counted
and dropped: serving never waits for a receipt.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import structlog

from neuralmesh_server.inference.evidence.receipts import (
    BITS,
    BUILD,
    DIGEST_RECORD_BYTES,
    UNVERIFIED,
    Digests,
    Receipt,
    Subject,
    is_sampled,
    outputs_digest,
    wanted_outputs,
)
from neuralmesh_server.inference.policy import Receipts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.inference.answering import Answer
    from neuralmesh_server.inference.backends.execution import Output
    from neuralmesh_server.inference.evidence.receipts import Answerer, Archive, HotPath, Ledger
    from neuralmesh_server.inference.request import Request
    from neuralmesh_server.inference.serving import LoadedModel, Route

log = structlog.get_logger()

WRITE_SECONDS = 0.2
"""Pause between two writes: with the write itself, what a kill may take."""
SYNC_SECONDS = 1.0
TRIM_SECONDS = 10.0
MAX_WAITING = 100_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
HOT_RECORD_BYTES = 128
_HOT_BIT_EXACT = 1
_OWNER_MASK, _FLAGS_SHIFT = 2**32 - 1, 32


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An answer whose receipt is to be made."""

    id: bytes
    loaded: LoadedModel
    exact: str
    request: bytes
    outputs: Sequence[Output]
    response: bytes | None

    @property
    def size(self) -> int:
        kept = len(self.request) + sum(len(output.raw) for output in self.outputs)
        return kept + (len(self.response) if self.response is not None else 0)


@dataclass(slots=True)
class _Batch:
    answers: list[_Waiting] = field(default_factory=list)
    size: int = 0
    hot: bytes = b""
    owners: dict[int, Answerer] = field(default_factory=dict)


class Recorder:
    """Keeps receipts: `keep` for each answer, `run` to write them, `flush` at the end.

    Args:
        archive: Where they are kept.
        ledger: What counts them.
        runtimes: What runs a version, by its kind, such as the library and its build.
        limits: Returns the policy of a model; called on the loop for a snapshot of all.
    """

    def __init__(
        self,
        *,
        archive: Archive,
        ledger: Ledger,
        runtimes: Mapping[str, str],
        limits: Callable[[], Mapping[str, Receipts]],
    ) -> None:
        self._archive = archive
        self._ledger = ledger
        self._runtimes = runtimes
        self._limits = limits
        self._hot: HotPath | None = None
        self._batch = _Batch()
        self._lost_before = ledger.lost - ledger.gap
        self._synced = self._trimmed = time.monotonic()
        self._dirty = False
        self._failing = False
        self._writing = asyncio.Lock()

    @property
    def lost(self) -> int:
        """Receipts of this node that were ever lost."""
        return self._ledger.lost

    @property
    def lost_here(self) -> int:
        """Receipts that were lost since this process began, with those that a kill took from the one before."""
        return self._ledger.lost - self._lost_before

    def attach(self, hot: HotPath) -> None:
        """Write the codec's receipts as well."""
        self._hot = hot

    def keep(self, route: Route, request: Request, answer: Answer) -> None:
        """Record an answer if the model's policy wants it."""
        policy = route.policy.receipts
        if not policy.sample_ppm:
            return
        identity = base64.b64decode(answer.prediction_id[-64:], altchars=b"-_")
        if not is_sampled(policy.sample_ppm, identity):
            return
        self._ledger.owe()
        exact = answer.exact
        if exact == BUILD and answer.batch_rows:
            exact = UNVERIFIED  # what else was in the batch is not recorded, and it may show in the last bits
        outputs = wanted_outputs(request, answer.outputs)
        entry = _Waiting(
            identity, answer.loaded, exact, request.data, outputs, answer.data if policy.payloads else None
        )
        batch = self._batch
        if len(batch.answers) >= MAX_WAITING or batch.size + entry.size > MAX_WAITING_BYTES:
            self._ledger.lose(1)
            return
        batch.answers.append(entry)
        batch.size += entry.size

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits, sync once a second, and remove what is beyond the limits."""
        async with self._writing:
            batch, self._batch = self._batch, _Batch()
            if self._hot is not None:
                batch.hot = self._hot.drain_receipts().tobytes()
                batch.owners = {owner: self._hot.answerer(owner) for owner in _owners(batch.hot)}
            now = time.monotonic()
            trim = now - self._trimmed >= TRIM_SECONDS
            if not batch.answers and not batch.hot and not self._dirty and not trim:
                return
            limits = self._limits()
            sync = now - self._synced >= SYNC_SECONDS
            writing = asyncio.ensure_future(asyncio.to_thread(self._write, batch, limits, sync, trim))
            try:
                await asyncio.shield(writing)
            finally:  # whoever asked for it may go away; the write ends first, since there is one at a time
                self._ledger.lose(await writing)
            self._dirty = not sync
            self._synced = now if sync else self._synced
            self._trimmed = now if trim else self._trimmed

    async def find(self, identity: bytes) -> Receipt | None:
        """Return the receipt of a prediction; one whose answer is there is found."""
        await self.flush()
        return await asyncio.to_thread(self._archive.find, identity)

    async def page(self, model: str, version: int, below: int, limit: int) -> list[Receipt]:
        """Return receipts of a model; see `Archive.page`."""
        await self.flush()
        return await asyncio.to_thread(self._archive.page, model, version, below, limit)

    async def newest(self, model: str, limit: int) -> list[Receipt]:
        """Return the newest receipts of a model that have payloads, newest first."""
        await self.flush()
        return await asyncio.to_thread(self._archive.newest, model, limit)

    async def close(self) -> None:
        """Write what waits and bring it onto the disk."""
        self._synced -= SYNC_SECONDS
        self._dirty = True
        await self.flush()

    def _write(self, batch: _Batch, limits: Mapping[str, Receipts], sync: bool, trim: bool) -> int:  # noqa: FBT001
        """Do a flush's work, in a thread; returns how many receipts were lost."""
        lost = 0
        by_model: dict[str, list[Receipt | Digests]] = {}
        for entry in self._entries(batch):
            by_model.setdefault(entry.subject.model, []).append(entry)
        failure: OSError | None = None
        for model, entries in by_model.items():
            try:
                self._archive.write(entries, limits.get(model, _UNLIMITED))
            except OSError as error:
                failure = error
                lost += sum(entry.count if isinstance(entry, Digests) else 1 for entry in entries)
        try:
            if sync:
                self._archive.sync()
            if trim or by_model:
                self._archive.trim(lambda model: limits.get(model, _UNLIMITED))
        except OSError as error:
            failure = error
        self._tell(failure, lost)
        return lost

    def _tell(self, failure: OSError | None, lost: int) -> None:
        if failure is not None and not self._failing:
            log.error("receipts_not_kept", why=str(failure), lost=lost)
        elif failure is None and self._failing:
            log.info("receipts_kept_again")
        self._failing = failure is not None

    def _entries(self, batch: _Batch) -> Iterable[Receipt | Digests]:
        yield from self._hot_entries(batch)
        digests: dict[tuple[Subject, str], list[bytes]] = {}
        subjects: dict[int, Subject] = {}
        for entry in batch.answers:
            subject = subjects.setdefault(id(entry.loaded), self._subject(entry.loaded))
            request, outputs = hashlib.sha256(entry.request).digest(), outputs_digest(entry.outputs)
            if entry.response is None:
                digests.setdefault((subject, entry.exact), []).append(entry.id + request + outputs)
            else:
                yield Receipt(entry.id, subject, entry.exact, request, outputs, entry.request, entry.response)
        for (subject, exact), records in digests.items():
            yield Digests(subject, exact, b"".join(records))

    def _hot_entries(self, batch: _Batch) -> Iterable[Digests]:
        if not batch.hot:
            return
        records, kinds = np.frombuffer(batch.hot, np.uint8).reshape(-1, HOT_RECORD_BYTES), _kinds(batch.hot)
        for kind in np.unique(kinds).tolist():
            exact = BITS if kind >> _FLAGS_SHIFT & _HOT_BIT_EXACT else BUILD
            subject = self._subject(batch.owners[kind & _OWNER_MASK])
            yield Digests(subject, exact, records[kinds == kind, :DIGEST_RECORD_BYTES].tobytes())

    def _subject(self, made: LoadedModel | Answerer) -> Subject:
        return Subject(made.model, made.uid, made.version, made.digest, self._runtimes.get(made.kind, ""))


_UNLIMITED = Receipts()
"""Limits of a model without a policy, whose receipts stem from an earlier one."""


def _owners(records: bytes) -> set[int]:
    return {kind & _OWNER_MASK for kind in np.unique(_kinds(records)).tolist()}


def _kinds(records: bytes) -> NDArray[np.uint64]:
    """Return owner, in the low half, and flags of each of the codec's records."""
    table = np.frombuffer(records, np.uint8).reshape(-1, HOT_RECORD_BYTES)
    return np.ascontiguousarray(table[:, 112:120]).view("<u8").reshape(-1)
