"""Uploads that go on where they were cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh._offload import pause_async
from neuralmesh.exceptions import AbortedError, InternalError, NeuralMeshError, UnavailableError
from neuralmesh.registry.v1 import registry_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neuralmesh._artifact import Artifact
    from neuralmesh._async.connection import AsyncConnection

ATTEMPTS = 5
"""Attempts that store nothing more before an upload is given up."""

_PAUSE_SECONDS = 0.2
_RESUMABLE = frozenset({"UPLOAD_OFFSET_MISMATCH", "UPLOAD_IN_PROGRESS"})


async def upload(
    connection: AsyncConnection, artifact: Artifact, progress: Callable[[int, int], None] | None
) -> pb.GetArtifactResponse:
    """Store an artifact, asking for the committed size before every attempt.

    Raises:
        NeuralMeshError: The last attempt's error, after ATTEMPTS attempts that stored nothing more, or one that another
            attempt would not mend.
    """
    idle = 0
    committed = -1
    failure: NeuralMeshError = InternalError("INTERNAL", f"the upload of {artifact.digest} did not complete")
    while idle < ATTEMPTS:
        stored = await connection.unary(
            "GetArtifact", pb.GetArtifactResponse, pb.GetArtifactRequest(digest=artifact.digest)
        )
        if stored.complete:
            if progress is not None:
                progress(artifact.size, artifact.size)
            return stored
        idle = 0 if stored.committed_bytes > committed else idle + 1
        if idle:
            await pause_async(_PAUSE_SECONDS)
        committed = stored.committed_bytes
        try:
            await connection.upload(
                "UploadArtifact", pb.UploadArtifactResponse, _requests(artifact, committed, progress)
            )
        except UnavailableError as error:
            failure = error
        except AbortedError as error:
            if error.reason not in _RESUMABLE:
                raise
            failure = error
    raise failure


def _requests(
    artifact: Artifact, offset: int, progress: Callable[[int, int], None] | None
) -> Iterator[pb.UploadArtifactRequest]:
    for position, data in artifact.chunks(offset):
        yield pb.UploadArtifactRequest(digest=artifact.digest, size_bytes=artifact.size, offset=position, data=data)
        if progress is not None:
            progress(position + len(data), artifact.size)
