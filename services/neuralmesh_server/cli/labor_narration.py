"""Jobs, plans and reports in a few words, for tables and answers. Knows messages only through their fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.narration import short
from neuralmesh_server.cli.quantities import share_text

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {1: "infer", 2: "evaluate", 3: "compare"}
STATES = {1: "planning", 2: "running", 3: "committed", 4: "failed", 5: "cancelled"}
LEVELS = {1: "the same on any machine", 2: "the same on one library and instruction set", 3: "not promised"}

_WORST = 10
"""Most pairs of labels that are shown."""


def version_text(name: str) -> str:
    """Return a version's resource name as people write it."""
    parts = name.split("/")
    return f"{parts[1]}@{parts[3]}" if len(parts) == 4 else name


def plan_facts(plan: Any, *, ahead: bool = True) -> Iterator[tuple[str, str]]:
    """Yield what a plan says, as names and values; with `ahead`, also what of it is left to do."""
    yield "plan", plan.plan_digest
    yield "version", f"{version_text(plan.version)}, {plan.version_digest}"
    if plan.baseline:
        yield "compared with", f"{version_text(plan.baseline)}, {plan.baseline_digest}"
    rows = rendering.count_text(plan.rows, "row")
    yield "data", f"{rows} in {rendering.count_text(plan.files, 'file')}, {rendering.size_text(plan.bytes)}"
    yield "data set", plan.dataset_digest
    yield "shards", f"{plan.shards:,}" + (f", of which {plan.cached_shards:,} are in the cache" if ahead else "")
    if plan.cost and ahead:
        yield "left to do", share_text(1_000_000 * (plan.cost - plan.cached_cost) // plan.cost)
    yield "computed by", plan.numerics_id
    yield "bits", LEVELS.get(plan.numerics_level, "unknown")


def job_facts(job: Any) -> Iterator[tuple[str, str]]:
    """Yield what is known of a job, as names and values."""
    yield "job", short(job.name)
    yield "state", STATES.get(job.state, "unknown")
    yield "what", f"{KINDS.get(job.spec.kind, 'unknown')} {job.spec.version} over {job.spec.data}"
    if job.HasField("plan"):
        yield from plan_facts(job.plan, ahead=False)  # how far it is, its progress says
    yield "progress", progress_text(job.progress)
    if job.HasField("error"):
        yield "error", f"{job.error.message} ({job.error.reason})"
    yield "output", job.output_digest
    yield "by", job.actor
    yield "submitted", rendering.moment_text(job, "create_time")
    yield "ended", rendering.moment_text(job, "end_time")


def done_text(job: Any) -> str:
    """Return how far a job is, which may be planned still."""
    if not job.HasField("planning"):
        return progress_text(job.progress)
    planning = job.planning
    if not planning.bytes:
        return "the data is looked at"
    return f"{100 * planning.done_bytes // planning.bytes}% of the data read and hashed"


def progress_text(progress: Any) -> str:
    """Return how far a job is."""
    parts = [f"{progress.done_shards:,} of {rendering.count_text(progress.shards, 'shard')}"]
    if progress.cached_shards:
        parts.append(f"{progress.cached_shards:,} from the cache")
    if progress.running_shards:
        parts.append(f"{progress.running_shards:,} running")
    if progress.audited_shards:
        parts.append(f"{progress.audited_shards:,} run twice")
    if progress.retries:
        parts.append(f"{progress.retries:,} run again")
    if progress.skipped_rows:
        parts.append(f"{rendering.count_text(progress.skipped_rows, 'row')} skipped")
    if progress.HasField("remaining") and progress.done_shards < progress.shards:
        parts.append(f"about {rendering.seconds_text(progress.remaining.ToMilliseconds() / 1000)} left")
    return ", ".join(parts)


def alarm_text(alarm: Any) -> str:
    """Return what an alarm says."""
    blame = f"; {alarm.quarantined_worker} is quarantined" if alarm.quarantined_worker else "; nobody knows who lies"
    return (
        f"shard {alarm.shard} of job {short(alarm.job)} gave {rendering.digest_text(alarm.first_digest)} by "
        f"{alarm.first_worker} and {rendering.digest_text(alarm.second_digest)} by {alarm.second_worker}{blame}"
    )


def print_report(report: bytes) -> None:
    """Print the figures of an evaluation or comparison; nothing for a job that has none."""
    said = json.loads(report) if report else None
    if said is None:
        return
    if said["kind"] == "evaluate":
        _print_evaluation(said)
    else:
        _print_comparison(said)


def _print_evaluation(said: Any) -> None:
    calibration = said["calibration"]
    rendering.print_facts(
        (
            (
                "accuracy",
                f"{_short(said['accuracy'])}, {said['correct']:,} of {rendering.count_text(said['rows'], 'row')}",
            ),
            ("kappa", _short(said["kappa"])),
            ("calibration error", "" if calibration is None else _short(calibration["expected_error"])),
        )
    )
    rendering.print_table(
        ("label", "rows>", "predicted>", "precision>", "recall>", "f1>"),
        (
            (
                entry["label"],
                f"{entry['rows']:,}",
                f"{entry['predicted']:,}",
                *(_short(entry[name]) for name in ("precision", "recall", "f1")),
            )
            for entry in said["classes"]
        ),
    )
    wrong = sorted((pair for pair in said["confusion"] if pair[0] != pair[1]), key=lambda pair: -pair[2])
    if wrong:
        _print_pairs(("true", "predicted", "rows>"), wrong)


def _print_comparison(said: Any) -> None:
    rendering.print_facts(
        (
            ("rows", f"{said['rows']:,}"),
            ("identical", f"{_short(said['identical'])}, {said['identical_rows']:,} rows in every bit"),
            (
                "same label",
                "" if said["agreement"] is None else f"{_short(said['agreement'])}, {said['agreeing']:,} rows",
            ),
            ("kappa", _short(said["kappa"])),
        )
    )
    rendering.print_table(
        ("output", "identical rows>", "largest difference>", "mean difference>"),
        (
            (
                entry["name"],
                f"{entry['identical_rows']:,}",
                _short(entry["largest_difference"]),
                _short(entry["mean_difference"]),
            )
            for entry in said["outputs"]
        ),
    )
    if said["moved"]:
        _print_pairs(("from", "to", "rows>"), said["moved"])


def _print_pairs(columns: tuple[str, ...], pairs: list[Any]) -> None:
    rendering.print_table(columns, ((one, other, f"{rows:,}") for one, other, rows in pairs[:_WORST]))
    if len(pairs) > _WORST:
        rendering.print_line(f"and {len(pairs) - _WORST:,} more pairs")


def _short(number: str | None) -> str:
    return "" if number is None else f"{float(number):.6g}"
