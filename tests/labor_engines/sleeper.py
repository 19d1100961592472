"""A process whose shards never end, unless nobody wants them: `python -m tests.labor_engines.sleeper FD RESULTS`."""

from __future__ import annotations

import time

from neuralmesh_server.labor_engines import child
from neuralmesh_server.labor_engines.action import Actions
from neuralmesh_server.labor_engines.rows import UnwantedError


def wait(self: Actions, lease: object, wanted) -> None:
    """Wait until nobody wants the shard."""
    while wanted():
        time.sleep(0.01)
    raise UnwantedError


if __name__ == "__main__":
    Actions.compute = wait
    child.main()
