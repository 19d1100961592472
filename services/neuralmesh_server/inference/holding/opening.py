"""From a version's record to a version that is ready to run: fetch, verify, open, check, warm up.

Fetching waits for the line, so that many versions may do it at once; opening takes processor and memory, so that few
may, the most urgent first. Both end in time whatever the line and the files do.
"""

from __future__ import annotations

import asyncio
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from neuralmesh_server.inference.backends import warmup
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.backends.ending import Ended, EndedError
from neuralmesh_server.inference.evidence import golden
from neuralmesh_server.inference.serving import LoadedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from neuralmesh_server.inference.backends.backend import Backend, Model
    from neuralmesh_server.inference.backends.ending import Ending
    from neuralmesh_server.inference.holding.artifacts import Artifacts
    from neuralmesh_server.inference.holding.records import VersionRecord
    from neuralmesh_server.inference.reporting.activity import Activity

OPEN_AT_ONCE = 2
OPEN_SECONDS = 20.0
"""The longest that a version may take to be opened and warmed up."""

Key = tuple[str, int]


class Opening:
    """Opens versions; belongs to the loop.

    Args:
        artifacts: Where files come from.
        backends: Backend of each kind.
        activity: Where counters come from.
        threads: Where files are opened and warmed up.
        rank: Returns the place of a version in the order of urgency, 0 for the most urgent.
    """

    def __init__(
        self,
        *,
        artifacts: Artifacts,
        backends: Mapping[str, Backend],
        activity: Activity,
        threads: Executor,
        rank: Callable[[Key], int],
    ) -> None:
        self._artifacts = artifacts
        self._backends = backends
        self._activity = activity
        self._ended = Ended(threads)
        self._turns = Turns(OPEN_AT_ONCE, rank)

    async def open(self, record: VersionRecord, uid: int) -> LoadedModel:
        """Return a version that is ready to run; see `LoadedModel` for `uid`.

        Raises:
            LoadError: It cannot be served; NotYetError when it may be later.
            neuralmesh_server.inference.links.LinkError: A file could not be fetched.
            NeuralMeshError: DIGEST_MISMATCH, STORAGE_FULL.
            OSError: The disk failed.
        """
        backend = self._backends.get(record.kind)
        if backend is None:
            raise LoadError(f"no backend for kind {record.kind!r}")
        files = await self._artifacts.files(record)
        seconds = OPEN_SECONDS
        async with self._turns.turn((record.model, record.version)):
            try:
                runner, checked = await self._ended.run(lambda ending: _open(backend, files, record, ending), seconds)
            except EndedError as error:
                raise LoadError(f"opening and warm-up took more than {seconds:g} seconds") from error
        loaded = LoadedModel(
            model=record.model,
            version=record.version,
            uid=uid,
            digest=record.digest,
            kind=record.kind,
            signature=checked.signature,
            runner=runner,
            size_bytes=record.size_bytes,
            base_ns=checked.base_ns,
            row_ns=checked.row_ns,
            label_index=checked.label_index,
            activity=self._activity.version(record.model, record.version, record.digest, uid),
            run_raw=runner.run_raw if checked.raw else None,
            batching_exact=record.batching_exact or bool(runner.ragged),
        )
        loaded.activity.holders.append(weakref.ref(loaded))
        return loaded


class Turns:
    """Lets a few work at once; who waits is let in by urgency, as it is when a place becomes free."""

    def __init__(self, places: int, rank: Callable[[Key], int]) -> None:
        self._free = places
        self._rank = rank
        self._waiting: dict[asyncio.Future[None], Key] = {}

    @asynccontextmanager
    async def turn(self, key: Key) -> AsyncIterator[None]:
        """Hold a place within the block."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(key)
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, key: Key) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[place] = key
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()  # the place was given in the same moment
            raise
        finally:
            self._waiting.pop(place, None)

    def _leave(self) -> None:
        waiting = [place for place in self._waiting if not place.done()]
        if not waiting:
            self._free += 1
            return
        first = min(waiting, key=lambda place: self._rank(self._waiting[place]))
        del self._waiting[first]
        first.set_result(None)


def _open(
    backend: Backend, files: Mapping[str, Path], record: VersionRecord, ending: Ending
) -> tuple[Model, warmup.Checked]:
    own, expected = golden.split(files)
    runner = backend.load(own, ending)
    checked = warmup.check(runner, record.signature, ending)
    if expected is not None:
        golden.verify(runner, checked.signature, expected, ending)
    return runner, checked
