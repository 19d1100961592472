# Generated from _async/labor_run.py by tools/unasync.py; never edited.
# ruff: noqa: UP028, PYI016, RET504, TRY300, RUF100, E501
"""A job on its way to the folder of its results: followed over every cut of the line, fetched and checked."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from neuralmesh import _labor_ends
from neuralmesh._offload import offload_sync, pause_sync
from neuralmesh.exceptions import CancelledError, DataLossError, UnavailableError
from neuralmesh.labor.v1 import labor_service_pb2 as pb
from neuralmesh.labor_results import ResultFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuralmesh._sync.labor import Labor
    from neuralmesh.labor.v1 import resources_pb2
    from neuralmesh.labor_results import Part

ATTEMPTS = 30
"""Attempts that bring nothing new before a service that cannot be reached is given up."""

_PAUSE_SECONDS = 1.0


def submit(labor: Labor, spec: resources_pb2.JobSpec) -> resources_pb2.Job:
    """Submit a wish, again where the service is away meanwhile: the same wish is the same job.

    Raises:
        UnavailableError: The service cannot be reached for long.
    """
    attempts = 1
    while True:
        try:
            return labor.submit_job(spec)
        except (UnavailableError, CancelledError) as error:
            if attempts == ATTEMPTS or not _labor_ends.is_away(error, labor.address):
                raise
        attempts += 1
        pause_sync(_PAUSE_SECONDS)


def follow(
    labor: Labor,
    name: str,
    progress: Callable[[resources_pb2.JobEvent], None] | None = None,
    attempts: int = ATTEMPTS,
) -> resources_pb2.Job:
    """Return a job when it has ended; `progress` gets its events, each once.

    Args:
        labor: The service.
        name: The job's.
        progress: Called for each event.
        attempts: Attempts, a second apart, before a service that cannot be reached is given up.

    Raises:
        UnavailableError: The service cannot be reached for long.
    """
    seen = idle = 0
    while True:
        try:
            for event in labor.watch_job(name, after_event=seen):
                seen, idle = event.event, 0
                if progress is not None:
                    progress(event)
            job = labor.get_job(name)
        except UnavailableError:
            idle += 1
            if idle >= attempts:
                raise
        else:
            if _labor_ends.ended(job):
                return job
            idle += 1
        pause_sync(_PAUSE_SECONDS)


def fetch(labor: Labor, job: resources_pb2.Job, path: Path | str) -> Path:
    """Write the folder of a committed job's results, unless it is there, and return its path.

    Raises:
        FileExistsError: There is something else.
        DataLossError: What came is not what the job says.
    """
    plan = document(labor, job.name, pb.JOB_DOCUMENT_PLAN)
    manifest = document(labor, job.name, pb.JOB_DOCUMENT_MANIFEST)
    folder = ResultFolder(path, plan, manifest, job.output_digest)
    if offload_sync(folder.is_complete):
        return folder.path
    with folder:
        for part, place in folder.missing():
            _download(labor, part, place)
        return offload_sync(folder.finish)


def document(labor: Labor, name: str, which: pb.JobDocument) -> bytes:
    """Return a document of a job."""
    pieces = [piece.data for piece in labor.get_job_document(name, which)]
    return b"".join(pieces)


def _download(labor: Labor, part: Part, place: Path) -> None:
    """Write the file of a part, going on where the line was cut."""
    content = hashlib.sha256()
    written = idle = 0
    with place.open("xb") as file:
        while True:
            try:
                for piece in labor.download_result(part.digest, offset=written):
                    file.write(piece.data)
                    content.update(piece.data)
                    written += len(piece.data)
                    idle = 0
                break
            except UnavailableError:
                idle += 1
                if idle == ATTEMPTS:
                    raise
            pause_sync(_PAUSE_SECONDS)
    found = "sha256:" + content.hexdigest()
    if found != part.digest:
        raise DataLossError(
            "DIGEST_MISMATCH",
            f"the result {part.digest} came as {found}",
            {"expected": part.digest, "actual": found},
        )
