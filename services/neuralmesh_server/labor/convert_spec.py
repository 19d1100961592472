"""From the contract's JobSpec to the domain's."""

from __future__ import annotations

from typing import Any

from neuralmesh.labor.v1 import resources_pb2 as pb
from neuralmesh_server.labor import plan
from neuralmesh_server.labor.plan import Columns
from neuralmesh_server.labor.spec import JobSpec

_KINDS = {
    pb.JOB_KIND_UNSPECIFIED: "",
    pb.JOB_KIND_INFER: plan.INFER,
    pb.JOB_KIND_EVALUATE: plan.EVALUATE,
    pb.JOB_KIND_COMPARE: plan.COMPARE,
}
_FORMATS = {
    pb.OUTPUT_FORMAT_UNSPECIFIED: plan.PARQUET,
    pb.OUTPUT_FORMAT_PARQUET: plan.PARQUET,
    pb.OUTPUT_FORMAT_ARROW: plan.ARROW,
    pb.OUTPUT_FORMAT_SAFETENSORS: plan.SAFETENSORS,
}
_BAD_ROWS = {pb.BAD_ROWS_UNSPECIFIED: plan.FAIL, pb.BAD_ROWS_FAIL: plan.FAIL, pb.BAD_ROWS_SKIP: plan.SKIP}


def spec_from(message: Any) -> JobSpec:
    """Return a wish, not yet checked; an unknown number of an enum becomes a name that no check lets pass."""
    columns = message.columns
    return JobSpec(
        kind=_KINDS.get(message.kind, f"{message.kind}"),
        version=message.version,
        data=message.data,
        baseline=message.baseline,
        columns=Columns(
            tuple(sorted((name, tuple(parts.names)) for name, parts in columns.inputs.items())),
            columns.label,
            columns.id,
        ),
        rows_per_shard=message.rows_per_shard,
        outputs=tuple(message.outputs),
        format=_FORMATS.get(message.format, f"{message.format}"),
        bad_rows=_BAD_ROWS.get(message.bad_rows, f"{message.bad_rows}"),
        micro_batch=message.micro_batch,
        audit_ppm=message.audit_ppm,
        priority=message.priority,
        skip_cache=message.skip_cache,
    )


def wish_of(message: Any) -> bytes:
    """Return the bytes in which a wish is kept."""
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def wish_to(wish: bytes) -> pb.JobSpec:
    """Return the wish of its bytes."""
    spec: pb.JobSpec = pb.JobSpec.FromString(wish)
    return spec
