"""The libraries that the kernel is compared with: from an environment of their own, one thread each, results checked.

`make peers` installs them into `.tools/peers/kernel`. They are imported into this process, behind our own packages, so
that both sides stand on one NumPy, one processor and the same data.
"""

from __future__ import annotations

import importlib
import site
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.processes import ROOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = ROOT / ".tools" / "peers" / "kernel"


class PeerError(RuntimeError):
    """A peer is absent, or its result is not ours."""


def add_folder() -> None:
    """Make the peers' packages importable.

    Raises:
        PeerError: They are not installed.
    """
    folders = sorted(FOLDER.glob("lib/python3*/site-packages"))
    if not folders:
        raise PeerError(f"{FOLDER} is absent: `make peers` installs what the kernel is compared with")
    for folder in folders:
        site.addsitedir(str(folder))


def load(name: str) -> Any:
    """Return a peer's module.

    Raises:
        PeerError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PeerError(f"{name} is absent: `make peers` installs it ({error})") from error


def agree(side: str, theirs: NDArray[Any], ours: NDArray[Any]) -> None:
    """Hold a side's result against ours: the same work is timed.

    Raises:
        PeerError: They differ.
    """
    if theirs.shape != ours.shape or not np.array_equal(theirs, ours):
        raise PeerError(f"the result of {side} is not ours")


class NumKong:
    """NumKong's products of bits, with one side packed beforehand and a place for the result.

    Args:
        rows: Packed rows, uint64.
        columns: Packed rows of the other side.
    """

    def __init__(self, rows: NDArray[np.uint64], columns: NDArray[np.uint64]) -> None:
        self._library = library = load("numkong")
        self._rows = library.Tensor(rows.view(np.uint8), dtype="uint1")
        bits = columns.view(np.uint8)
        self._for_hammings = library.hammings_pack(bits, dtype="uint1")
        self._for_dots = library.dots_pack(bits, dtype="uint1")
        self._out = library.empty((len(rows), len(columns)), dtype="uint32")

    def hammings(self) -> NDArray[np.uint32]:
        """Return the Hamming distances."""
        self._library.hammings_packed(self._rows, self._for_hammings, out=self._out)
        return np.asarray(self._out)

    def dots(self) -> NDArray[np.uint32]:
        """Return how many bits are one on both sides."""
        self._library.dots_packed(self._rows, self._for_dots, out=self._out)
        return np.asarray(self._out)


def numkong_version() -> str:
    """Return the version and what it found in the processor."""
    library = load("numkong")
    used = [name for name, has in library.get_capabilities().items() if has]
    return f"NumKong {library.__version__}, {' '.join(used)}"


class Faiss:
    """FAISS's exhaustive index of packed codes, one thread.

    Args:
        codes: Packed uint64 (rows, words), each row as wide as its words.
    """

    def __init__(self, codes: NDArray[np.uint64]) -> None:
        library = load("faiss")
        library.omp_set_num_threads(1)
        self._index = library.IndexBinaryFlat(codes.shape[1] * 64)
        self._index.add(codes.view(np.uint8))

    def search(self, queries: NDArray[np.uint8], k: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the k least distances and the positions, for each query."""
        distances, positions = self._index.search(queries, k)
        return distances, positions


def faiss_version() -> str:
    """Return the version and the instructions that it was built for."""
    library = load("faiss")
    return f"faiss-cpu {library.__version__}, {library.get_compile_options().strip()}"
