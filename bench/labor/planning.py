"""`python -m bench.labor.planning FOLDER ROWS_PER_SHARD` plans a job and prints shards, seconds and most megabytes."""

from __future__ import annotations

import resource
import sys
import time

from neuralmesh_server.labor.plan import FilePin, VersionPin
from neuralmesh_server.labor.planning import plan
from neuralmesh_server.labor.spec import JobSpec
from neuralmesh_server.numerics import numerics

DIGEST = "sha256:" + "0" * 64
KIND = "liam.binary_network"


def main() -> None:
    """Plan."""
    folder, rows = sys.argv[1], int(sys.argv[2])
    pin = VersionPin("packed", 1, KIND, DIGEST, (FilePin("model", 1, DIGEST),), numerics(KIND))
    spec = JobSpec("infer", "packed/1", folder, rows_per_shard=rows, outputs=("label",))
    started = time.perf_counter()
    made = plan(spec, [pin], folder)
    assert made.digest
    seconds = time.perf_counter() - started
    sys.stdout.write(f"{len(made.shards)} {seconds} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")


if __name__ == "__main__":
    main()
