"""A process that cannot write files of more than a hundred bytes: `python -m tests.labor_engines.cramped FD RESULTS`."""

from __future__ import annotations

import resource

from neuralmesh_server.labor_engines import child

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    child.main()
