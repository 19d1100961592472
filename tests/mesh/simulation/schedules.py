"""`python -m tests.mesh.simulation.schedules FIRST COUNT`: so many schedules from a seed on; one seed repeats one."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.mesh.simulation import virtual_time
from tests.mesh.simulation.world import World

STEPS = 40
FAST_FOLDER = Path("/dev/shm")
"""A disk without a disk, where there is one: what is simulated is what a disk holds, not how slow it is."""


def run(seed: int, steps: int = STEPS) -> World:
    """Run one schedule; raises AssertionError with its story where something does not hold."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        where = FAST_FOLDER if FAST_FOLDER.is_dir() else None
        with tempfile.TemporaryDirectory(prefix="nm-world-", dir=where) as folder:

            async def schedule() -> World:
                world = World(seed, Path(folder))
                await world.run(steps)
                return world

            return virtual_time.run(schedule())
    finally:
        structlog.reset_defaults()


def main(first: int, count: int) -> None:
    """Run schedules and say how many; exits with 1 at the first that fails, with its story."""
    started = time.perf_counter()
    for seed in range(first, first + count):
        try:
            run(seed)
        except AssertionError as error:
            sys.stdout.write(f"{error}\nrepeat it by: python -m tests.mesh.simulation.schedules {seed} 1\n")
            sys.exit(1)
        if (seed - first + 1) % 100 == 0 or seed == first + count - 1:
            seconds = time.perf_counter() - started
            sys.stdout.write(f"{seed - first + 1:,} schedules in {seconds:.0f} s, no promise broken\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
