"""`python -m tests.mesh.failpoint POINT NUMBER ARGUMENT...`: `neuralmesh ARGUMENT...`, killed with -9 at a point.

The process kills itself when it comes to the point for the given time. The points are methods of the node that stand
between two states of its disk or of its promises, so that all of a download, its verification, its publication, the
loading and the acknowledgement lie between two of them.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from neuralmesh_server.runtime import transport

if __name__ == "__main__":
    transport.configure()

from neuralmesh_server import content_store
from neuralmesh_server.cli.program import main
from neuralmesh_server.inference.edge import link_mesh, store_edge
from neuralmesh_server.inference.edge.mesh import Outcome
from neuralmesh_server.inference.holding import opening, store_replica

if TYPE_CHECKING:
    from collections.abc import Callable


def _is_applied(arguments: tuple[Any, ...]) -> bool:
    return arguments[1].outcome is Outcome.APPLIED


POINTS: dict[str, tuple[object, str, bool, Callable[[tuple[Any, ...]], bool] | None]] = {
    "download": (content_store.Upload, "write", False, None),
    "downloaded": (content_store.Upload, "write", True, None),
    "verify": (content_store.Upload, "finish", False, None),
    "publish": (content_store.ContentStore, "_show", False, None),
    "published": (content_store.ContentStore, "_show", True, None),
    "verified": (content_store.Upload, "finish", True, None),
    "load": (opening, "_open", False, None),
    "loaded": (opening, "_open", True, None),
    "keep": (store_replica.ReplicaFile, "save", False, None),
    "kept": (store_replica.ReplicaFile, "save", True, None),
    "remember": (store_edge.MemoryFile, "save", False, None),
    "remembered": (store_edge.MemoryFile, "save", True, None),
    "acknowledge": (link_mesh.GrpcSession, "report", False, _is_applied),
    "acknowledged": (link_mesh.GrpcSession, "report", True, _is_applied),
}
"""By name: whose method, its name, whether the point lies behind it, and which of its calls count."""


def arm(point: str, number: int) -> None:
    """Have this process killed when it comes to a point for the given time."""
    owner, name, behind, counts = POINTS[point]
    method = getattr(owner, name)
    passed = 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal passed
        met = counts is None or counts(arguments)
        passed += met
        due = met and passed == number
        if due and not behind:
            os.kill(os.getpid(), signal.SIGKILL)
        found = method(*arguments, **named)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, counted)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["neuralmesh", *sys.argv[3:]]
    main()
