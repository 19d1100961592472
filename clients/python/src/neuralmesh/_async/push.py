"""The steps of a push: read and hash the files, make sure of the model, send what is missing, create the version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuralmesh._artifact import Artifact, folder_files, read_artifact
from neuralmesh._offload import offload_async
from neuralmesh._request_id import new_request_id
from neuralmesh.exceptions import AlreadyExistsError, InvalidArgumentError, NotFoundError
from neuralmesh.registry.v1 import resources_pb2 as resources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuralmesh._async.registry import AsyncRegistry

_DIGESTS_PER_CALL = 1000


async def gather(path: Path | str | None, files: Mapping[str, Path | str | bytes] | None) -> dict[str, Artifact]:
    """Return the artifacts of a push by path within the version.

    Raises:
        InvalidArgumentError: Both or neither of `path` and `files` are given, or there is no file.
        OSError: A file cannot be read.
    """
    if (path is None) == (files is None):
        raise InvalidArgumentError("FIELD_INVALID", "give either a path or files", {"field": "files"})
    sources: Mapping[str, Path | str | bytes]
    sources = folder_files(Path(path)) if path is not None else files or {}
    if not sources:
        raise InvalidArgumentError(
            "FIELD_INVALID", f"there is no file to push in {path or 'files'}", {"field": "files"}
        )
    return {name: await offload_async(read_artifact, source) for name, source in sources.items()}


async def ensure_model(registry: AsyncRegistry, model: str, reason: str) -> None:
    """Create a model where it is missing."""
    try:
        await registry.get_model(model)
    except NotFoundError:
        try:
            await registry.create_model(model, reason=reason, request_id=new_request_id())
        except AlreadyExistsError:
            return  # somebody else created it in between, which serves as well


async def upload_missing(
    registry: AsyncRegistry,
    artifacts: Mapping[str, Artifact],
    progress: Callable[[str, int, int], None] | None,
) -> None:
    """Send what the registry lacks; equal files are sent once."""
    by_digest = {artifact.digest: (name, artifact) for name, artifact in artifacts.items()}
    digests = list(by_digest)
    for start in range(0, len(digests), _DIGESTS_PER_CALL):
        for digest in await registry.list_missing_artifacts(digests[start : start + _DIGESTS_PER_CALL]):
            name, artifact = by_digest[digest]
            await registry.upload_artifact(artifact, progress=_file_progress(name, progress))


async def create_version(
    registry: AsyncRegistry,
    model: str,
    artifacts: Mapping[str, Artifact],
    *,
    kind: str,
    signature: resources.Signature | None,
    description: str,
    metadata: Mapping[str, str] | None,
    reason: str,
) -> resources.Version:
    """Create the version, or return the one that has the same content."""
    files = [
        resources.File(path=name, size_bytes=artifact.size, digest=artifact.digest)
        for name, artifact in sorted(artifacts.items())
    ]
    try:
        return await registry.create_version(
            model,
            kind=kind,
            files=files,
            signature=signature,
            description=description,
            metadata=metadata,
            reason=reason,
            request_id=new_request_id(),
        )
    except AlreadyExistsError as error:
        if error.reason != "VERSION_CONTENT_EXISTS":
            raise
        return await registry.get_version(model, error.metadata["version"])


def _file_progress(name: str, progress: Callable[[str, int, int], None] | None) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(name, done, total)
