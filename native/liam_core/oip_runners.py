"""What runs versions without the interpreter, as `native/include/oip.h` lays it out, and what that points to."""

from typing import Any, Self

from liam_core.index import BinaryIndex
from liam_core.kernel import ffi, lib
from liam_core.network import BinaryNetwork

__all__ = ["Runner"]


class Runner:
    """A runner for routes, which any number of threads may run at once.

    Attributes:
        block: The C struct.
    """

    __slots__ = ("_keep", "block")

    def __init__(self, keep: object) -> None:
        self._keep = keep
        self.block: Any = ffi.new("oip_runner *")

    @property
    def scratch_bytes(self) -> int:
        """How much scratch a run needs."""
        size: int = self.block.scratch_bytes
        return size

    @classmethod
    def of_network(cls, network: BinaryNetwork) -> Self:
        """Return what runs a network."""
        runner = cls(network)
        return runner._made(lib.oip_runner_of_network(runner.block, network.handle))

    @classmethod
    def of_index(cls, index: BinaryIndex) -> Self | None:
        """Return what searches an index; None for one with a radius or rescoring."""
        if index.handle is None:
            return None
        runner = cls(index)
        return runner._made(lib.oip_runner_of_index(runner.block, index.handle))

    def _made(self, done: int) -> Self:
        if not done:
            raise ValueError("the model is none that C runs")
        return self
