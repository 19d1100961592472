"""Versions run again beside what is served: opened anew from their verified bytes, run in the background, let go.

Nothing here is a prediction: it gets no id and counts nowhere. Answers that callers wait for go first, since the thread
behind `run` has the lowest priority of the system, and one piece of work at a time holds versions here.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from neuralmesh_server import names
from neuralmesh_server.errors import (
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
)
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.links import LinkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from neuralmesh_server.errors import NeuralMeshError
    from neuralmesh_server.inference.holding.records import VersionRecord
    from neuralmesh_server.inference.holding.replica import Replica
    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.serving import LoadedModel
    from neuralmesh_server.inference.traffic.lanes import Result

LONGEST_SECONDS = 600.0
"""Longest that a piece of work may take, whatever deadline its caller has."""


class Rerun:
    """Opens versions and runs requests on them; belongs to the loop.

    Args:
        replica: What the registry says.
        open_version: Fetches, verifies, opens and warms up a version of a model's number; raises LoadError, LinkError,
            NeuralMeshError or OSError.
        fetch: Fetches and verifies the files of a version; raises LinkError, NeuralMeshError or OSError.
        run: Runs a request on a version in the background, and records nothing.
    """

    def __init__(
        self,
        *,
        replica: Replica,
        open_version: Callable[[VersionRecord, int], Awaitable[LoadedModel]],
        fetch: Callable[[VersionRecord], Awaitable[Mapping[str, Path]]],
        run: Callable[[LoadedModel, Request, Caller], Awaitable[Result]],
    ) -> None:
        self._replica = replica
        self._open_version = open_version
        self._fetch = fetch
        self.run = run
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, caller: Caller) -> AsyncIterator[None]:
        """Wait for the turn and hold it; what is inside ends at the caller's deadline or after LONGEST_SECONDS.

        Raises:
            DeadlineExceededError: DEADLINE_EXPIRED.
        """
        remaining = caller.remaining()
        seconds = LONGEST_SECONDS if remaining is None else min(remaining, LONGEST_SECONDS)
        try:
            async with asyncio.timeout(seconds), self._turn:
                yield
        except TimeoutError as error:
            raise DeadlineExceededError("DEADLINE_EXPIRED", f"not done after {seconds:.3f} seconds") from error

    def record(self, model: str, version: int) -> VersionRecord:
        """Return a version that the registry knows; raises MODEL_NOT_FOUND or VERSION_NOT_FOUND."""
        record = self._replica.versions.get((model, version))
        if model not in self._replica.models:
            raise NotFoundError("MODEL_NOT_FOUND", f"there is no model {model!r}", model=model)
        if record is None:
            raise NotFoundError(
                "VERSION_NOT_FOUND", f"model {model!r} has no version {version}", model=model, version=version
            )
        return record

    def default(self, model: str) -> int:
        """Return the version that the alias `production` names; raises ALIAS_NOT_FOUND."""
        alias = self._replica.aliases.get((model, names.DEFAULT_ALIAS))
        if alias is None:
            raise NotFoundError(
                "ALIAS_NOT_FOUND",
                f"model {model!r} has no alias {names.DEFAULT_ALIAS!r}; name the version to compare with",
                model=model,
                alias=names.DEFAULT_ALIAS,
            )
        return alias.version

    async def open(self, record: VersionRecord) -> LoadedModel:
        """Return a version opened anew from its verified files, whatever is served.

        Raises:
            NeuralMeshError: ARTIFACT_CORRUPT or ARTIFACT_NOT_FOUND, nobody has its bytes any more; PEER_UNREACHABLE,
                they are not here and the registry does not answer; VERSION_NOT_READY, they cannot be opened.
        """
        uid = self._replica.models[record.model].uid
        try:
            return await self._open_version(record, uid)
        except LinkError as error:
            raise _unfetched(record, error) from error
        except (LoadError, OSError) as error:
            raise UnavailableError(
                "VERSION_NOT_READY",
                f"version {record.version} of model {record.model!r} cannot be opened: {error}",
                model=record.model,
                version=record.version,
                state="UNAVAILABLE",
                stateReason=str(error),
            ) from error

    async def file(self, record: VersionRecord, path: str) -> Path | None:
        """Return one verified file of a version, None where it has none of this path; raises as `open`."""
        files = tuple(file for file in record.files if file.path == path)
        try:
            return (await self._fetch(replace(record, files=files))).get(path)
        except LinkError as error:
            raise _unfetched(record, error) from error


def check_digest(record: VersionRecord, expected: str) -> None:
    """Raise DIGEST_MISMATCH when a version is not the one that a receipt names."""
    if record.digest != expected:
        raise FailedPreconditionError(
            "DIGEST_MISMATCH",
            f"version {record.version} of model {record.model!r} is {record.digest}, the receipt names {expected}",
            model=record.model,
            version=record.version,
            expected=expected,
            actual=record.digest,
        )


def _unfetched(record: VersionRecord, error: LinkError) -> NeuralMeshError:
    why = f"version {record.version} of model {record.model!r} cannot be fetched: {error}"
    about = {"model": record.model, "version": record.version, "digest": record.digest}
    if error.unreachable:
        return UnavailableError("PEER_UNREACHABLE", why, peer="registry", **about)
    if error.reason == "ARTIFACT_NOT_FOUND":
        return NotFoundError("ARTIFACT_NOT_FOUND", why, **about)
    return DataLossError("ARTIFACT_CORRUPT", why, **about)
