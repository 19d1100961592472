"""What a run measured: latencies twice over, answers, failures, and how well the client itself kept its schedule.

The corrected latency runs from the moment a request was meant to be sent, so that a request that had to wait because
the one before it was slow counts its waiting: what a caller of the schedule would have seen. The raw latency runs from
the moment it was really sent; alone it flatters a server that stalls ("coordinated omission").
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuralmesh_server.histogram import Histogram

if TYPE_CHECKING:
    from neuralmesh_server.load.answers import Answers

SCALE = 7
"""128 buckets for each power of two: quantiles are within 0.27 %."""

LATE_SECONDS = 0.005
"""A request that is sent this long after its time was late through the client's fault."""

LATE_SHARE = 0.01
BUSY_SHARE = 0.9
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999))


def _histogram() -> Histogram:
    return Histogram(SCALE)


@dataclass(slots=True)
class Record:
    """What happened so far. One event loop owns it.

    Attributes:
        corrected: Seconds from the intended moment to the answer, of requests that were answered.
        raw: Seconds from sending to the answer, of the same.
        lag: Seconds from the intended moment to sending, of all that were sent.
        failures: Requests that failed, by status code and reason.
        messages: A message of each kind of failure.
        sent: Requests sent.
        late: Requests sent later than LATE_SECONDS after their time.
        open: Requests under way.
        most_open: The greatest number under way at once.
        held_back: Times that the limit of requests under way made the client wait.
        seconds: Length of the run; 0 until it ends.
        busy: Processor time of this process as a share of the run; 0 until it ends. The event loop and the transport's
            thread take turns, so that it hardly goes beyond 1.
    """

    corrected: Histogram = field(default_factory=_histogram)
    raw: Histogram = field(default_factory=_histogram)
    lag: Histogram = field(default_factory=_histogram)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    messages: dict[tuple[str, str], str] = field(default_factory=dict)
    sent: int = 0
    late: int = 0
    open: int = 0
    most_open: int = 0
    held_back: int = 0
    seconds: float = 0.0
    busy: float = 0.0

    @property
    def answered(self) -> int:
        """Requests that got an answer."""
        return self.sent - self.open - self.failed

    @property
    def failed(self) -> int:
        """Requests that got none."""
        return self.failures.total()

    def sending(self, lag: float) -> None:
        """Count a request as sent, so many seconds after its time."""
        self.sent += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.lag.record(lag)
        if lag > LATE_SECONDS:
            self.late += 1

    def answer(self, corrected: float, raw: float) -> None:
        """Count a request as answered."""
        self.open -= 1
        self.corrected.record(corrected)
        self.raw.record(raw)

    def failure(self, code: str, reason: str, message: str) -> None:
        """Count a request as failed."""
        self.open -= 1
        self.failures[code, reason] += 1
        self.messages.setdefault((code, reason), message)

    def limits(self) -> list[str]:
        """Say in what way the client itself was the limit, so that the latencies are not the server's alone."""
        found = []
        if self.sent and self.late / self.sent > LATE_SHARE:
            found.append(
                f"{self.late / self.sent:.1%} of the requests were sent more than {LATE_SECONDS * 1e3:.0f} ms late"
            )
        if self.busy > BUSY_SHARE:
            found.append(f"it used {self.busy:.0%} of a processor, and cannot use much more")
        if self.held_back:
            found.append(f"{self.held_back} times it waited because of its limit of requests under way")
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run: what was measured and what was answered."""

    record: Record
    answers: Answers

    @property
    def good(self) -> bool:
        """No request failed and every answer was held against its version and is right."""
        return not (self.record.failed or self.answers.wrong or self.answers.unjudged)

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON values; latencies in seconds."""
        record, answers = self.record, self.answers
        return {
            "sent": record.sent,
            "answered": record.answered,
            "failed": record.failed,
            "seconds": record.seconds,
            "answers_per_second": record.answered / record.seconds if record.seconds else 0.0,
            "latency": latencies(record.corrected),
            "latency_uncorrected": latencies(record.raw),
            "schedule_lag": latencies(record.lag),
            "most_open": record.most_open,
            "failures": [
                {"code": code, "reason": reason, "count": count, "message": record.messages[code, reason]}
                for (code, reason), count in record.failures.most_common()
            ],
            "versions": dict(sorted(answers.versions.items())),
            "right": answers.right,
            "wrong": answers.wrong,
            "unjudged": answers.unjudged,
            "unasked": answers.unasked,
            "wrong_examples": [
                {"request": wrong.request, "version": wrong.version, "why": wrong.why} for wrong in answers.examples
            ],
            "client": {"late": record.late, "busy": record.busy, "limits": record.limits()},
        }


def latencies(histogram: Histogram) -> dict[str, float]:
    """Return the quantiles that are printed, with least and greatest; empty for an empty histogram."""
    if not histogram.count:
        return {}
    return {
        "min": histogram.min,
        "mean": histogram.sum / histogram.count,
        **{name: histogram.quantile(q) for name, q in QUANTILES},
        "max": histogram.max,
    }
