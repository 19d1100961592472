"""What the rows of the kernel's table share: one processor, the clock, the processor's limits, and the peers."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from bench.kernel import peers
from bench.kernel.limits import Limits
from bench.kernel.m4ri import M4ri
from bench.kernel.timing import Clock
from bench.processes import ROOT
from bench.setting import Setting
from liam_core import capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TILES_LEVEL = "amx"
SIDE_SECONDS, QUICK_SECONDS = 0.25, 0.02


@dataclass
class KernelSetting:
    """Where and with what the rows run.

    Attributes:
        folder: For data; is removed by whoever made it.
        quick: Short calls and small databases; the figures are for seeing that a row works.
        say: Prints a line of the report.
        stack: Stops at the end what was started.
    """

    folder: Path
    quick: bool
    say: Callable[[str], None]
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(self.processors)})
        self.stack.callback(os.sched_setaffinity, 0, self.processors)
        self.clock = Clock(QUICK_SECONDS if self.quick else SIDE_SECONDS)

    @cached_property
    def limits(self) -> Limits:
        """The processor's limits."""
        return Limits(ROOT / "build" / "bench")

    def bit_pairs(self) -> float:
        """Return the pairs of bits a second that the processor can at most, at the level in use."""
        return self.limits.bit_pairs(tiles=self.tiles)

    @cached_property
    def tiles(self) -> bool:
        """Whether the level in use multiplies tiles."""
        return capabilities().level == TILES_LEVEL and self.limits.has_tiles

    @property
    def bit_pairs_are(self) -> str:
        """What the limit of products of signs is made of."""
        return "products of tiles of int8" if self.tiles else "xor, population count and add, 512 bits wide"

    @cached_property
    def m4ri(self) -> M4ri:
        """The library M4RI."""
        return M4ri(peers.FOLDER)

    @cached_property
    def serving(self) -> Setting:
        """The services, for what is served; to be used on all processors."""
        return Setting(self.folder, self.quick, self.say, self.stack)

    @contextmanager
    def all_processors(self) -> Iterator[None]:
        """Let what is started within run on every processor."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.processors)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)
