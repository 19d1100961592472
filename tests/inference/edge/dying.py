"""`python -m tests.inference.edge.dying POINT ARGUMENTS`: the program, which kills itself at a point of its way."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from neuralmesh_server.runtime import transport

if __name__ == "__main__":
    transport.configure()

from neuralmesh_server import content_store
from neuralmesh_server.cli.program import main
from neuralmesh_server.inference.backends import kinds
from neuralmesh_server.inference.edge import link_mesh, mesh, store_edge
from neuralmesh_server.inference.holding import store_replica

LARGE = 100_000


def die() -> None:
    """End at once, as by kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


def around(owner: Any, name: str, *, before: Callable[..., bool] | None = None, after: bool = False) -> None:
    """Die before a call for which something holds, or after any call."""
    real = getattr(owner, name)

    def patched(*arguments: Any, **named: Any) -> Any:
        if before is not None and before(*arguments):
            die()
        result = real(*arguments, **named)
        if after:
            die()
        return result

    setattr(owner, name, patched)


def is_large(_: Any, files: dict[str, Any], *rest: Any) -> bool:
    """Hold for a version whose files are large."""
    del rest
    return sum(path.stat().st_size for path in files.values()) > LARGE


def always(*_: Any) -> bool:
    """Hold."""
    return True


POINTS: dict[str, Callable[[], None]] = {
    "download": lambda: around(content_store.Upload, "write", before=lambda upload, _: upload.offset > 0),
    "verify": lambda: around(content_store.Upload, "finish", before=always),
    "published": lambda: around(content_store.Upload, "finish", after=True),
    "load": lambda: around(kinds.LateOnnx, "load", before=is_large),
    "state": lambda: around(store_replica.ReplicaFile, "save", before=always),
    "memory": lambda: around(store_edge.MemoryFile, "save", after=True),
    "acknowledge": lambda: around(
        link_mesh.GrpcSession, "report", before=lambda _, verdict, __: verdict.outcome is mesh.Outcome.APPLIED
    ),
}

if __name__ == "__main__":
    POINTS[sys.argv[1]]()
    main(sys.argv[2:])
