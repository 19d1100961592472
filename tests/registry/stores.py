"""Stores on an empty folder, and what the tests of all of them need. A new engine is added to FACTORIES."""

from __future__ import annotations

from neuralmesh_server.registry.records import Actor, FileEntry, Manifest, Origin
from neuralmesh_server.registry.records_mesh import Assignment, StaleAction, StalenessPolicy, WavePlan
from neuralmesh_server.registry.records_policy import LimitPolicy
from neuralmesh_server.registry.store_sqlite import SqliteStore

FACTORIES = {"sqlite": lambda folder: SqliteStore(folder / "registry.sqlite")}

ANN = Origin(Actor("ann"), "why")
ASSIGNMENT = Assignment(
    "site,tier=edge", "digits", "production", 2, LimitPolicy(1, 2, 3), StalenessPolicy(StaleAction.FLAG, 4)
)
PLAN = WavePlan((5, 500_000, 1_000_000), 7)


class EveryArtifact:
    """Says that every artifact is stored with three bytes."""

    async def sizes(self, digests):
        return dict.fromkeys(digests, 3)


class Clock:
    """Counts milliseconds, one a call."""

    def __init__(self):
        self.now = 1_700_000_000_000

    def __call__(self):
        self.now += 1
        return self.now


def manifest(number: int, **fields) -> Manifest:
    file = FileEntry("model.onnx", 3, f"sha256:{number:064x}")
    return Manifest("onnx", (file,), **fields)
