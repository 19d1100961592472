"""A process that dies as soon as it is to run a shard: `python -m tests.labor_engines.crasher FD RESULTS`."""

from __future__ import annotations

import os
import signal

from neuralmesh_server.labor_engines import child
from neuralmesh_server.labor_engines.action import Actions


def die(self: Actions, *arguments: object) -> None:
    """Take the process down."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    Actions.compute = die
    child.main()
