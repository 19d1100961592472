"""What a worker needs to know of a job, beside its leases: the recipe, the versions' files and where the data is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical
from neuralmesh_server.labor import plan

if TYPE_CHECKING:
    from neuralmesh_server.canonical import Fact


@dataclass(frozen=True, slots=True)
class JobContext:
    """The recipe, and `data`: the folder, file or s3:// address that the files' paths are relative to."""

    recipe: plan.Recipe
    data: str

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        fact: Fact = {
            "labor_context": 1,
            "data": self.data,
            "recipe": self.recipe.fact(),
            "versions": self.recipe.version_facts(),
        }
        return canonical.encode(fact)


def parse(data: bytes) -> JobContext:
    """Return the context in canonical bytes; raises ValueError where they are not that."""
    try:
        said: dict[str, Any] = json.loads(data)
        return JobContext(plan.recipe(said["recipe"], said["versions"]), said["data"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"these are not the bytes of a job's context: {error!r}") from error
