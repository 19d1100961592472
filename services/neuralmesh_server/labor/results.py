"""What an action gives and what a job gives, in canonical form. Equal work has equal bytes; digests name both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuralmesh_server.canonical import Fact


@dataclass(frozen=True, slots=True)
class Skipped:
    """Rows without a result, one after the other, for one reason; `first` counts from the shard's first row."""

    first: int
    rows: int
    why: str


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action gives.

    Attributes:
        rows: Rows with a result.
        output_digest: Digest of the file that holds them.
        output_size: Its bytes.
        skipped: Rows without one, in order.
        tally: Counts of an evaluation or comparison, which add up over shards; None for an inference.
    """

    rows: int
    output_digest: str
    output_size: int
    skipped: tuple[Skipped, ...] = ()
    tally: Fact = None

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return canonical.encode(
            {
                "labor_result": 1,
                "rows": self.rows,
                "output": [self.output_digest, self.output_size],
                "skipped": [[entry.first, entry.rows, entry.why] for entry in self.skipped],
                "tally": self.tally,
            }
        )


def parse_result(data: bytes) -> ActionResult:
    """Return the result in canonical bytes; raises ValueError where they are not that."""
    try:
        said: dict[str, Any] = json.loads(data)
        digest, size = said["output"]
        result = ActionResult(
            said["rows"], digest, size, tuple(Skipped(*entry) for entry in said["skipped"]), said["tally"]
        )
        same = result.encode() == data
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"these are not the bytes of a result: {error!r}") from error
    if not same:
        raise ValueError("these are not the canonical bytes of a result")
    _check(result)
    return result


def _check(result: ActionResult) -> None:
    """Raise ValueError for counts that are none, or skipped rows that are not in order."""
    numbers = [
        result.rows,
        result.output_size,
        *(count for entry in result.skipped for count in (entry.first, entry.rows)),
    ]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("its counts are not numbers from 0 on")
    if not all(isinstance(text, str) for text in (result.output_digest, *(entry.why for entry in result.skipped))):
        raise ValueError("its digest or its reasons are not text")
    end = 0
    for entry in result.skipped:
        if entry.first < end or not entry.rows:
            raise ValueError("its skipped rows are not in order")
        end = entry.first + entry.rows


def manifest(plan_digest: str, results: Sequence[ActionResult], report: Fact) -> bytes:
    """Return the canonical output manifest of a job: the results of all shards in order, and its report.

    Its SHA-256 is the job's output digest.
    """
    return canonical.encode(
        {
            "labor_output": 1,
            "plan": plan_digest,
            "rows": sum(result.rows for result in results),
            "report": report,
            "shards": [
                [
                    result.output_digest,
                    result.output_size,
                    result.rows,
                    [[entry.first, entry.rows, entry.why] for entry in result.skipped],
                ]
                for result in results
            ],
        }
    )
