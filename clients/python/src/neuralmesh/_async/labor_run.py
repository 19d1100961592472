"""A job on its way to the folder of its results: followed over every cut of the line, fetched and checked."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from neuralmesh import _labor_ends
from neuralmesh._offload import offload_async, pause_async
from neuralmesh.exceptions import CancelledError, DataLossError, UnavailableError
from neuralmesh.labor.v1 import labor_service_pb2 as pb
from neuralmesh.labor_results import ResultFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuralmesh._async.labor import AsyncLabor
    from neuralmesh.labor.v1 import resources_pb2
    from neuralmesh.labor_results import Part

ATTEMPTS = 30
"""Attempts that bring nothing new before a service that cannot be reached is given up."""

_PAUSE_SECONDS = 1.0


async def submit(labor: AsyncLabor, spec: resources_pb2.JobSpec) -> resources_pb2.Job:
    """Submit a wish, again where the service is away meanwhile: the same wish is the same job.

    Raises:
        UnavailableError: The service cannot be reached for long.
    """
    attempts = 1
    while True:
        try:
            return await labor.submit_job(spec)
        except (UnavailableError, CancelledError) as error:
            if attempts == ATTEMPTS or not _labor_ends.is_away(error, labor.address):
                raise
        attempts += 1
        await pause_async(_PAUSE_SECONDS)


async def follow(
    labor: AsyncLabor,
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
            async for event in labor.watch_job(name, after_event=seen):
                seen, idle = event.event, 0
                if progress is not None:
                    progress(event)
            job = await labor.get_job(name)
        except UnavailableError:
            idle += 1
            if idle >= attempts:
                raise
        else:
            if _labor_ends.ended(job):
                return job
            idle += 1
        await pause_async(_PAUSE_SECONDS)


async def fetch(labor: AsyncLabor, job: resources_pb2.Job, path: Path | str) -> Path:
    """Write the folder of a committed job's results, unless it is there, and return its path.

    Raises:
        FileExistsError: There is something else.
        DataLossError: What came is not what the job says.
    """
    plan = await document(labor, job.name, pb.JOB_DOCUMENT_PLAN)
    manifest = await document(labor, job.name, pb.JOB_DOCUMENT_MANIFEST)
    folder = ResultFolder(path, plan, manifest, job.output_digest)
    if await offload_async(folder.is_complete):
        return folder.path
    with folder:
        for part, place in folder.missing():
            await _download(labor, part, place)
        return await offload_async(folder.finish)


async def document(labor: AsyncLabor, name: str, which: pb.JobDocument) -> bytes:
    """Return a document of a job."""
    pieces = [piece.data async for piece in labor.get_job_document(name, which)]
    return b"".join(pieces)


async def _download(labor: AsyncLabor, part: Part, place: Path) -> None:
    """Write the file of a part, going on where the line was cut."""
    content = hashlib.sha256()
    written = idle = 0
    with place.open("xb") as file:
        while True:
            try:
                async for piece in labor.download_result(part.digest, offset=written):
                    file.write(piece.data)
                    content.update(piece.data)
                    written += len(piece.data)
                    idle = 0
                break
            except UnavailableError:
                idle += 1
                if idle == ATTEMPTS:
                    raise
            await pause_async(_PAUSE_SECONDS)
    found = "sha256:" + content.hexdigest()
    if found != part.digest:
        raise DataLossError(
            "DIGEST_MISMATCH",
            f"the result {part.digest} came as {found}",
            {"expected": part.digest, "actual": found},
        )
