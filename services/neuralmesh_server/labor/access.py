"""What each call of the labor array needs; `runtime.access` says what the entries mean, docs/operations.md why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.runtime.access import ADMIN, NODE, PROMOTER, READER, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES: Mapping[str, Rule] = {
    # A plan reads whatever files the service and its workers can read, and a job takes their time.
    "PlanJob": Rule((PROMOTER,)),
    "SubmitJob": Rule((PROMOTER,)),
    "CancelJob": Rule((PROMOTER,)),
    "ExplainMisses": Rule((PROMOTER,)),
    # A job may be about two models, and its documents are about data.
    "GetJob": Rule((READER,)),
    "ListJobs": Rule((READER,)),
    "WatchJob": Rule((READER,)),
    "GetJobDocument": Rule((READER,)),
    "DownloadResult": Rule((READER,)),
    "GetSchedule": Rule((READER,)),
    "ListWorkers": Rule((READER,)),
    "ListAlarms": Rule((READER,)),
    "ReleaseWorker": Rule((ADMIN,)),
}
"""Rule of every RPC of LaborArrayService."""

WORKER_RULES: Mapping[str, Rule] = {
    "LeaseShards": Rule((NODE,)),
    "RenewLeases": Rule((NODE,)),
    "GetJobContext": Rule((NODE,)),
    "UploadResult": Rule((NODE,)),
    "CompleteShard": Rule((NODE,)),
    "FailShard": Rule((NODE,)),
    "LeaveArray": Rule((NODE,)),
}
"""Rule of every RPC of WorkerService."""

SCRAPE = Rule((READER,))
"""What Prometheus needs to read the figures of all jobs."""
