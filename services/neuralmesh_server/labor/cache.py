"""The results that there are, and whether all their bytes are: those that are missing are as good as not there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from neuralmesh_server.errors import DataLossError, NotFoundError
from neuralmesh_server.labor.records import COMMITTED, RUNNING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuralmesh_server.labor.records import Entry, Job
    from neuralmesh_server.labor.shelf import Shelf
    from neuralmesh_server.labor.store import Store, View


class Cache:
    """Results by action.

    Args:
        store: Where they are kept.
        shelf: Where their outputs are.
    """

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store = store
        self._shelf = shelf

    async def usable(self, job: str, actions: Sequence[str]) -> list[tuple[int, str]]:
        """Return (shard, action) that have a result in the cache, with all its bytes, and none in a job."""

        def look(view: View) -> tuple[dict[str, Entry], set[int]]:
            return view.entries(actions), {result.shard for result in view.shard_results(job)}

        entries, done = await self._store.read(look)
        outputs = await self._shelf.call(lambda: {name: _output(entry) for name, entry in entries.items()})
        there = await self._shelf.all_there({digest for digest in outputs.values() if digest})
        return [
            (shard, action)
            for shard, action in enumerate(actions)
            if shard not in done and action in outputs and (not outputs[action] or outputs[action] in there)
        ]

    async def stands(self, job: Job) -> bool:
        """Say whether a job runs, or is committed with all its bytes; a reader sets aside what is damaged."""
        if job.state != COMMITTED:
            return job.state == RUNNING
        if job.output_digest not in await self._shelf.all_there([job.output_digest]):
            return False
        try:
            said = json.loads(await self._shelf.get(job.output_digest))
        except (DataLossError, NotFoundError):  # damaged: set aside by this reader, or by another one a moment ago
            return False
        outputs = {shard[0] for shard in said["shards"] if shard[0]}
        return outputs == await self._shelf.all_there(outputs)


def _output(entry: Entry) -> str:
    """Return the digest of the output of a result; its bytes were checked when it came."""
    digest: str = json.loads(entry.result)["output"][0]
    return digest
