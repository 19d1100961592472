"""Removes results that no job needs any more: those of jobs that ended long ago.

What is kept follows from the jobs: the plan, the manifest and the outputs of every job that runs, or that ended or was
submitted last within the time, and whatever the shards of such a job rest on. All else goes, the oldest files first.
The cache forgets the results that name a file, in one transaction that looks at the jobs again; then the file is
removed. A crash in between leaves a file that nothing names, which the next round finds. Files that are young stay in
any case: their results may be on their way. No job is submitted while a batch of files is judged and removed.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.errors import DataLossError, NeuralMeshError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from neuralmesh_server.labor.shelf import Shelf
    from neuralmesh_server.labor.store import KeptJob, Ledger, Store

log = structlog.get_logger()

YOUNG_SECONDS = 600.0
"""Age from which on a file may go: whatever was stored is named by a transaction long before."""

ROUND_SECONDS = 3600.0
"""Longest pause between two rounds."""

BATCH = 500
"""Files that are judged at once."""


class Retention:
    """Removes what is not kept.

    Args:
        store: Where jobs and results are.
        shelf: Where files are.
        submitting: Held while a job is submitted.
        wall: Returns the time in seconds since 1970.
        young_seconds: Age from which on a file may go.
    """

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        submitting: asyncio.Lock,
        wall: Callable[[], float],
        *,
        young_seconds: float = YOUNG_SECONDS,
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._submitting = submitting
        self._wall = wall
        self._young_seconds = young_seconds

    async def run(self, keep_seconds: float) -> None:
        """Keep results for some time, until cancelled."""
        while True:
            try:
                await self.collect(keep_seconds)
            except (NeuralMeshError, OSError) as error:  # the disk, as a rule: the next round tries again
                log.warning("results_not_collected", why=str(error))
            await asyncio.sleep(min(keep_seconds / 4, ROUND_SECONDS))

    async def collect(self, keep_seconds: float) -> int:
        """Remove what no job needs that runs, or ended or was submitted within so many seconds; returns how many files.

        Raises:
            NeuralMeshError: The store failed.
            OSError: The disk failed.
        """
        now = self._wall()
        since_ms = int((now - keep_seconds) * 1000)
        before = now - self._young_seconds
        needs: dict[KeptJob, frozenset[str]] = {}
        for job in await self._store.read(lambda view: view.kept_jobs(since_ms)):
            needs[job] = await self._needs(job)
        needed = frozenset().union(*needs.values())
        removed = 0
        candidates = [digest for digest in await self._shelf.older_than(before) if digest not in needed]
        for first in range(0, len(candidates), BATCH):
            async with self._submitting:
                removed += await self._remove(candidates[first : first + BATCH], since_ms, before, needs)
        await self._shelf.discard_partials(before)
        log.info("results_collected", files=removed, jobs_kept=len(needs))
        return removed

    async def _remove(
        self, candidates: Iterable[str], since_ms: int, before: float, needs: dict[KeptJob, frozenset[str]]
    ) -> int:
        """Remove those of the files that nothing needs."""

        def change(ledger: Ledger) -> tuple[list[KeptJob], set[str]]:
            unknown = [job for job in ledger.kept_jobs(since_ms) if job not in needs]
            if unknown:  # submitted or committed meanwhile
                return unknown, set()
            ledger.drop_old_shards(since_ms)
            return [], ledger.drop_unused(sorted(wanted))

        while True:
            wanted = set(candidates).difference(*needs.values())
            if not wanted:
                return 0
            unknown, unused = await self._store.write(change)
            if not unknown:
                break
            for job in unknown:
                needs[job] = await self._needs(job)
        return sum([await self._shelf.remove(digest, before) for digest in sorted(unused)])

    async def _needs(self, job: KeptJob) -> frozenset[str]:
        """Return the digests of everything that a job needs, beside what its shards rest on."""
        if not job.output_digest:
            return frozenset((job.plan_digest,))
        try:
            said = json.loads(await self._shelf.get(job.output_digest))
        except (NotFoundError, DataLossError) as error:  # it is made anew when it is submitted again
            log.warning("manifest_missing", job=job.job, reason=error.reason)
            return frozenset((job.plan_digest,))
        return frozenset((job.plan_digest, job.output_digest, *(shard[0] for shard in said["shards"])))
