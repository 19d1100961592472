"""What people want to know of a plan before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server import names
from neuralmesh_server.labor import plan
from neuralmesh_server.labor.records import PlanSummary

if TYPE_CHECKING:
    from collections.abc import Collection

    from neuralmesh_server.labor.plan import Plan

_LEVELS = (plan.EXACT, plan.PINNED, plan.UNVERIFIED)


def summarise(made: Plan, cached: Collection[int]) -> PlanSummary:
    """Return the summary of a plan, given the shards whose results are in the cache."""
    versions = made.recipe.versions
    baseline = versions[1] if len(versions) > 1 else None
    levels = [pin.numerics.level for pin in versions]
    return PlanSummary(
        version=names.version_name(versions[0].model, versions[0].version),
        version_digest=versions[0].digest,
        baseline=names.version_name(baseline.model, baseline.version) if baseline else "",
        baseline_digest=baseline.digest if baseline else "",
        files=len(made.files),
        rows=made.rows,
        bytes=sum(file.size for file in made.files),
        dataset_digest=made.dataset_digest(),
        shards=len(made.shards),
        cached_shards=len(cached),
        cost=sum(shard.cost for shard in made.shards),
        cached_cost=sum(made.shards[shard].cost for shard in cached),
        numerics_id=versions[0].numerics.id,
        numerics_level=max(levels, key=_LEVELS.index),
    )
