"""The rows of the labor array's table, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.labor.rows.bare_loop import BareLoop
from bench.labor.rows.cached import Cached
from bench.labor.rows.plain_dask import PlainDask
from bench.labor.rows.planning import Planning
from bench.labor.rows.scaling import OnDask, OnEmbedded, OnOwn
from bench.labor.rows.small_shards import SmallShards

if TYPE_CHECKING:
    from bench.row import Row

ROWS: tuple[type[Row], ...] = (BareLoop, SmallShards, Planning, OnEmbedded, OnOwn, OnDask, Cached, PlainDask)
