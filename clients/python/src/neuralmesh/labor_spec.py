"""What people say of a job, as the contract says it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from neuralmesh.exceptions import InvalidArgumentError
from neuralmesh.labor.v1 import resources_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KINDS: dict[str, pb.JobKind] = {
    "infer": pb.JOB_KIND_INFER,
    "evaluate": pb.JOB_KIND_EVALUATE,
    "compare": pb.JOB_KIND_COMPARE,
}
FORMATS: dict[str, pb.OutputFormat] = {
    "parquet": pb.OUTPUT_FORMAT_PARQUET,
    "arrow": pb.OUTPUT_FORMAT_ARROW,
    "safetensors": pb.OUTPUT_FORMAT_SAFETENSORS,
}
BAD_ROWS: dict[str, pb.BadRows] = {"fail": pb.BAD_ROWS_FAIL, "skip": pb.BAD_ROWS_SKIP}

MILLION = 1_000_000

E = TypeVar("E")


def job_spec(
    version: str,
    data: str | Path,
    *,
    job: str = "infer",
    baseline: str = "",
    inputs: Mapping[str, Sequence[str]] | None = None,
    label: str = "",
    id_column: str = "",
    rows_per_shard: int = 0,
    outputs: Sequence[str] = (),
    format: str = "parquet",  # noqa: A002 - the contract's name
    bad_rows: str = "fail",
    micro_batch: int = 0,
    audit: float = 0.0,
    priority: int = 0,
    skip_cache: bool = False,
) -> pb.JobSpec:
    """Return the wish for a job.

    Args:
        version: `model`, `model@alias`, `model@version` or `model/version`; `model` stands for `model@production`.
        data: A file or folder, or an s3:// address, that whoever runs the job can read.
        job: `infer`, `evaluate` or `compare`.
        baseline: The version that a comparison compares with, in the same form.
        inputs: Columns of each input by its name, where they are not plain.
        label: Column of the true labels.
        id_column: Column that is carried through to the results.
        rows_per_shard: Rows of a shard; 0 for a size that depends on the rows' width.
        outputs: Names of the outputs to keep; empty for all.
        format: `parquet`, `arrow` or `safetensors`.
        bad_rows: `fail` or `skip`.
        micro_batch: Rows of a batch for runtimes whose answers depend on it; 0 for 64.
        audit: Share of the shards, from 0 to 1, that a second worker runs as well.
        priority: Jobs of a higher priority get their workers first.
        skip_cache: Look up no result of earlier jobs.

    Raises:
        InvalidArgumentError: FIELD_INVALID for a value that is none of those.
    """
    if not 0 <= audit <= 1:
        raise _invalid("audit", f"{audit} is no share from 0 to 1")
    columns = pb.ColumnMapping(label=label, id=id_column)
    for name, parts in (inputs or {}).items():
        columns.inputs[name].names.extend(parts)
    return pb.JobSpec(
        kind=_chosen("job", KINDS, job),
        version=reference(version),
        baseline=reference(baseline) if baseline else "",
        data=_address(data),
        columns=columns,
        rows_per_shard=rows_per_shard,
        outputs=outputs,
        format=_chosen("format", FORMATS, format),
        bad_rows=_chosen("bad_rows", BAD_ROWS, bad_rows),
        micro_batch=micro_batch,
        audit_ppm=round(audit * MILLION),
        priority=priority,
        skip_cache=skip_cache,
    )


def reference(text: str) -> str:
    """Return what somebody writes to mean a version in the contract's form, `model@alias` or `model/version`."""
    model, separator, which = text.partition("@")
    if separator and re.fullmatch("[0-9]+", which):
        return f"{model}/{which}"
    return text if separator or "/" in text else f"{text}@production"


def _address(data: str | Path) -> str:
    """Return data as whoever runs the job finds it: local paths in full."""
    text = str(data)
    if not text:
        raise _invalid("data", "is empty")
    return text if "://" in text else str(Path(text).resolve())


def _chosen(field: str, known: Mapping[str, E], value: str) -> E:
    if value not in known:
        raise _invalid(field, f"{value!r} is none of {', '.join(known)}")
    return known[value]


def _invalid(field: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError("FIELD_INVALID", f"{field}: {why}", {"field": field})
