"""What versions do on this node: counts, times and labels, kept in memory until telemetry takes them.

Counters outlive the version they count: of one that nobody holds any more the sums stay, to which a later load adds.
Counters stand in blocks of plain memory (`oip_stats` in native/include/oip.h), because most requests are answered and
counted in C. Two do that, the event loop and the native front, whose threads take turns, each in blocks of its own:
nothing is locked here, and sums are of both. Everything else belongs to the loop, which may read the front's blocks at
any time; for what has to be consistent, and before it empties them, it holds the front off.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from liam_core.oip import STATS_BYTES, Labels, Stats
from neuralmesh_server import prediction_id
from neuralmesh_server.inference.reporting.labels import held_batches, record_batches
from neuralmesh_server.inference.reporting.latencies import Latencies
from neuralmesh_server.inference.reporting.totals import Totals

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from liam_core.oip import HeldLabels
    from neuralmesh_server.inference.reporting.labels import LabelBatch, LabelRecord

LABEL_BYTES = 12 * 1024 * 1024
"""Most bytes of labels held for one delta by each of three: the loop's codec, the front's, and the ordinary way. All of
them fit in a message."""
ACTIVITY_BYTES: Final = 2 * STATS_BYTES
"""Memory of a version's totals: the loop's block, then the front's."""

CODES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of the gRPC statuses by their number."""
_NUMBERS: Final = {name: number for number, name in enumerate(CODES)}


def _total(name: str, what: str) -> Any:
    def read(self: VersionActivity) -> int:
        value: int = getattr(self.stats.block, name) + getattr(self.front_stats.block, name)
        return value

    return property(read, doc=what)


class VersionActivity:
    """Totals of one version since the process started; durations in nanoseconds.

    Attributes:
        stats: The block in which the loop counts.
        front_stats: The block in which the front counts.
        owner: Number of this activity among all, as labels in C know it.
        latency: Latencies of answered requests in seconds since telemetry last took them.
        batches: Runs of joined requests and their nanoseconds, by the rows of the batch; of this process alone.
        holders: The loaded versions that count here, as long as somebody has them.
    """

    __slots__ = (
        "_memory",
        "batches",
        "digest",
        "front_stats",
        "holders",
        "latency",
        "model",
        "owner",
        "stats",
        "version",
    )

    def __init__(
        self,
        model: str,
        version: int,
        digest: str,
        owner: int = 0,
        memory: bytearray | memoryview | NDArray[np.uint8] | None = None,
    ) -> None:
        self.model, self.version, self.digest, self.owner = model, version, digest, owner
        self._memory = np.frombuffer(bytearray(ACTIVITY_BYTES) if memory is None else memory, np.uint8)
        self.stats, self.front_stats = Stats(self._memory), Stats(self._memory, STATS_BYTES)
        self.latency = Latencies(self.stats, self.front_stats)
        self.batches: dict[int, tuple[int, int]] = {}
        self.holders: list[weakref.ref[Any]] = []

    requests = _total("requests", "Requests that were answered.")
    rows = _total("rows", "Their rows.")
    success_ns = _total("success_ns", "From a request's arrival to its answer.")
    failures = _total("failures", "Requests that failed.")
    failure_ns = _total("failure_ns", "From a request's arrival to its failure.")
    executions = _total("executions", "Runs.")
    input_ns = _total("input_ns", "Time to read and check requests.")
    infer_ns = _total("infer_ns", "Time to run, including the wait for a thread.")
    output_ns = _total("output_ns", "Time to write answers.")
    queued = _total("queued", "Requests that waited in a queue.")
    queue_ns = _total("queue_ns", "Time in queues.")

    @property
    def last_ms(self) -> int:
        """When a request was last answered or failed, ms since 1970."""
        moment: int = max(self.stats.block.last_ms, self.front_stats.block.last_ms)
        return moment

    @property
    def errors(self) -> Counter[str]:
        """Failed requests by the name of their gRPC status."""
        pairs = zip(CODES, self.stats.block.errors, self.front_stats.block.errors, strict=True)
        return Counter({name: count + front for name, count, front in pairs if count + front})

    def copy(self) -> NDArray[np.uint8]:
        """Return a copy of the totals' memory, for another VersionActivity."""
        return self._memory.copy()

    def succeeded(self, rows: int, started: int, read: int, ran: int) -> None:
        """Count an answered request from its moments on `time.perf_counter_ns`."""
        self.stats.count(rows, started, read, ran, time.perf_counter_ns())

    def batched(self, rows: int, nanoseconds: int) -> None:
        """Count a run of joined requests."""
        runs, spent = self.batches.get(rows, (0, 0))
        self.batches[rows] = (runs + 1, spent + nanoseconds)

    def shared_run(self) -> None:
        """Take back the run that `succeeded` counted, for a request whose run another one counts."""
        self.stats.block.executions -= 1

    def waited(self, nanoseconds: int) -> None:
        """Count a request that waited in a queue."""
        block = self.stats.block
        block.queued += 1
        block.queue_ns += nanoseconds

    def failed(self, code: str, started: int) -> None:
        """Count a failed request by the name of its gRPC status."""
        block = self.stats.block
        block.failures += 1
        block.failure_ns += time.perf_counter_ns() - started
        block.last_ms = time.time_ns() // 1_000_000
        block.errors[_NUMBERS[code]] += 1


@dataclass(frozen=True, slots=True)
class Reading:
    """What was counted and kept up to one moment, copied.

    Attributes:
        dropped_labels: How many label records had found no room.
    """

    _versions: Sequence[tuple[VersionActivity, NDArray[np.uint8]]]
    _codec_labels: Sequence[HeldLabels]
    _records: Sequence[LabelRecord]
    _head: str
    dropped_labels: int

    def versions(self) -> list[VersionActivity]:
        """Return what the versions had done."""
        return [
            VersionActivity(one.model, one.version, one.digest, one.owner, memory) for one, memory in self._versions
        ]

    def labels(self) -> tuple[LabelBatch, ...]:
        """Return the labels; a version may have several batches."""
        owners = {one.owner: one for one, _ in self._versions}
        held = [batch for one in self._codec_labels for batch in held_batches(one, owners, self._head)]
        return (*held, *record_batches(self._records))


class Activity:
    """Activity of all versions, and the labels that telemetry has still to report.

    Args:
        label_limit: Most label records reported at a time; further ones are counted as dropped. 0 keeps none and counts
            none.
        node: Name of this node, which prediction ids begin with.
        memory: Returns a block, zero at first, for a model, version, digest and size in bytes.

    Attributes:
        kept: Labels that the loop's codec keeps.
        front_kept: Labels that the front's codec keeps.
        unresolved: Failed requests that reached no version, by the name of their gRPC status.
    """

    def __init__(
        self,
        label_limit: int,
        node: str = "",
        memory: Callable[[str, int, str, int], bytearray | memoryview] | None = None,
    ) -> None:
        self._versions: dict[tuple[str, int, str, int], VersionActivity] = {}
        self._made = 0
        self._folded: dict[tuple[str, int], Totals] = {}
        self._label_limit = label_limit
        self._head = f"{prediction_id.PREFIX}.{node}."
        self._memory = memory or (lambda _model, _version, _digest, size: bytearray(size))
        self._labels: list[LabelRecord] = []
        self._label_bytes = 0
        self._dropped = 0
        self.kept, self.front_kept = Labels(label_limit, LABEL_BYTES), Labels(label_limit, LABEL_BYTES)
        self.unresolved: Counter[str] = Counter()

    def version(self, model: str, version: int, digest: str, uid: int = 0) -> VersionActivity:
        """Return the activity of a version, new if it has none.

        The digest and the model's uid belong to the key: a registry that was restored may give a number a second time,
        and what waits under an owner's number, such as receipts, belongs to one model for good.
        """
        key = (model, version, digest, uid)
        found = self._versions.get(key)
        if found is None:
            memory = self._memory(model, version, digest, ACTIVITY_BYTES)
            found = VersionActivity(model, version, digest, self._made, memory)
            self._made += 1
            self._versions[key] = found
        return found

    def fold(self) -> list[int]:
        """Keep of versions that were held and are not any more the sums alone; returns their owners' numbers.

        Latencies, errors and labels that nobody has taken are lost. The front counts in none of these versions: a
        snapshot that has a version holds it, the front has followed each snapshot before the loop goes on, and it
        holds what its workers still run.
        """
        owners = []
        for key, one in list(self._versions.items()):
            living = [holder for holder in one.holders if holder() is not None]
            if one.holders and not living:
                self._folded.setdefault(key[:2], Totals(*key[:2])).add(one)
                del self._versions[key]
                owners.append(one.owner)
            one.holders = living
        return owners

    def totals(self) -> list[VersionActivity | Totals]:
        """Return what all versions did since the process started, also those that are not held any more."""
        return [*self, *self._folded.values()]

    def __iter__(self) -> Iterator[VersionActivity]:
        return iter([self._versions[key] for key in sorted(self._versions)])

    @property
    def dropped_labels(self) -> int:
        """How many label records found no room."""
        count: int = self._dropped + self.kept.block.dropped + self.front_kept.block.dropped
        return count

    def answered(self, record: LabelRecord) -> None:
        """Remember a prediction's labels until they are reported, if there is room."""
        if not self._label_limit:
            return
        held = self.kept.block
        if held.count < held.limit and self._label_bytes + len(record.raw) <= LABEL_BYTES:
            self._labels.append(record)
            self._label_bytes += len(record.raw)
            held.limit -= 1  # both ways of keeping have one limit
        else:
            self._dropped += 1

    def labels(self) -> tuple[LabelBatch, ...]:
        """Return the labels held; a version may have several batches."""
        return self.read(forget=False).labels()

    def forget_labels(self) -> None:
        """Hold none."""
        self._labels, self._label_bytes = [], 0
        self.kept.forget()
        self.kept.block.limit = self._label_limit
        self.front_kept.forget()

    def read(self, *, forget: bool) -> Reading:
        """Return what was counted and kept up to now; no more than copies, since the front waits for it.

        Args:
            forget: Start again from nothing with latencies and labels.
        """
        versions = [(one, one.copy()) for one in self]
        kept, front = self.kept.held(), self.front_kept.held()
        # The front does not know how many labels wait elsewhere, so that there may be more than are reported.
        room = max(self._label_limit - len(kept) - len(self._labels), 0)
        beyond = max(len(front) - room, 0)
        dropped = self.dropped_labels + beyond
        reading = Reading(versions, (kept, front.first(room)), tuple(self._labels), self._head, dropped)
        if forget:
            for one in self:
                one.latency.forget()
            self._dropped += beyond
            self.forget_labels()
        return reading
