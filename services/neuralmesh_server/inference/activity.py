"""What versions do on this node: counts, times and labels, kept in memory until telemetry takes them.

Everything here belongs to the event loop. Counters outlive the version they count: a version that is unloaded and
loaded again goes on counting.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuralmesh_server.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator

LATENCY_SCALE = 5
LABEL_BYTES = 16 * 1024 * 1024
"""Most bytes of labels held for one delta, so that it fits in a message."""


@dataclass(slots=True)
class VersionActivity:
    """Totals of one version since the process started; durations in nanoseconds.

    Attributes:
        latency: Latencies of answered requests in seconds since telemetry last took them.
        input_ns: Time to read and check requests.
        infer_ns: Time to run, including the wait for a thread.
        output_ns: Time to write answers.
    """

    model: str
    version: int
    digest: str
    requests: int = 0
    rows: int = 0
    success_ns: int = 0
    failures: int = 0
    failure_ns: int = 0
    executions: int = 0
    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0
    last_ms: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=lambda: Histogram(LATENCY_SCALE))

    def succeeded(self, rows: int, started: int, read: int, ran: int) -> None:
        """Count an answered request from its moments on `time.perf_counter_ns`."""
        now = time.perf_counter_ns()
        self.requests += 1
        self.executions += 1
        self.rows += rows
        self.success_ns += now - started
        self.input_ns += read - started
        self.infer_ns += ran - read
        self.output_ns += now - ran
        self.last_ms = time.time_ns() // 1_000_000
        self.latency.record((now - started) * 1e-9)

    def failed(self, code: str, started: int) -> None:
        """Count a failed request by the name of its gRPC status."""
        self.failures += 1
        self.failure_ns += time.perf_counter_ns() - started
        self.last_ms = time.time_ns() // 1_000_000
        self.errors[code] += 1


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """The label output of one prediction: raw elements as they were answered."""

    activity: VersionActivity
    datatype: str
    prediction_id: str
    rows: int
    raw: bytes


class Activity:
    """Activity of all versions, and the labels that telemetry has still to report.

    Args:
        label_limit: Most label records held; further ones are counted as dropped. 0 keeps none and counts none.
    """

    def __init__(self, label_limit: int) -> None:
        self._versions: dict[tuple[str, int], VersionActivity] = {}
        self._label_limit = label_limit
        self._labels: list[LabelRecord] = []
        self._label_bytes = 0
        self.dropped_labels = 0
        self.unresolved: Counter[str] = Counter()

    def version(self, model: str, version: int, digest: str) -> VersionActivity:
        """Return the activity of a version, new if it has none."""
        key = (model, version)
        if key not in self._versions:
            self._versions[key] = VersionActivity(model, version, digest)
        return self._versions[key]

    def __iter__(self) -> Iterator[VersionActivity]:
        return iter([self._versions[key] for key in sorted(self._versions)])

    def answered(self, record: LabelRecord) -> None:
        """Remember a prediction's labels until they are reported, if there is room."""
        if len(self._labels) < self._label_limit and self._label_bytes + len(record.raw) <= LABEL_BYTES:
            self._labels.append(record)
            self._label_bytes += len(record.raw)
        elif self._label_limit:
            self.dropped_labels += 1

    def labels(self) -> tuple[LabelRecord, ...]:
        """Return the labels held."""
        return tuple(self._labels)

    def forget_labels(self) -> None:
        """Hold none."""
        self._labels, self._label_bytes = [], 0
