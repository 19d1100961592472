"""What holds for all tests, and for the processes that they start.

The time that an example takes proves nothing, so that there is no deadline for one. Numeric libraries work in the
thread that calls them: their matrices are small here, and threads that wait for one another on processors that other
tests use spend seven times the time of the work itself. grpc is set up as in the services: its handlers of forks would
take down now and then a process that a test starts while a channel is open.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # read when the libraries are loaded, which is after this

from hypothesis import settings  # noqa: E402 - as said

from neuralmesh_server.runtime import transport  # noqa: E402 - as said

transport.configure()

settings.register_profile("neuralmesh", deadline=None)
settings.load_profile("neuralmesh")
