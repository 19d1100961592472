"""A worker over gRPC whose process lies: `python -m tests.labor_engines.lying_worker LABOR REGISTRY STORE`."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from neuralmesh_server.labor_engines import worker
from neuralmesh_server.labor_engines.pool import starter

if __name__ == "__main__":
    worker.starter = functools.partial(starter, module="tests.labor_engines.liar")
    labor, registry, store = sys.argv[1:]
    worker.work({"labor": labor, "registry": registry}, name="liar", slots=1, folder=Path(store))
