"""How grpc is set up before it is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = """
import json
from neuralmesh_server.runtime import transport
given = {"GRPC_EXPERIMENTS": "other", "GRPC_VERBOSITY": "INFO"}
transport.configure(given)
transport.configure(given)
print(json.dumps(given))
"""


def test_what_is_set_before_grpc_is_imported() -> None:
    """The slow listener and what crashes processes after a fork are off; what somebody has set stays."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["", *sys.path])}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, check=True)
    assert json.loads(done.stdout) == {
        "GRPC_EXPERIMENTS": "other,-event_engine_listener",
        "GRPC_VERBOSITY": "INFO",
        "GRPC_ENABLE_FORK_SUPPORT": "0",
    }
