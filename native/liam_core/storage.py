"""Model files on the disk: they appear complete or not at all, and are read through a map.

What stands in them is `container`'s; what it means is the profiles'.
"""

import mmap
import os
import secrets
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from liam_core.container import Container, parse, read_metadata
from liam_core.errors import ModelFormatError

__all__ = ["format_of", "read", "save"]

T = TypeVar("T")


def save(path: str | os.PathLike[str], parts: Iterable[bytes | memoryview]) -> None:
    """Write a file part by part; it appears at `path` complete or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(path)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with unfinished.open("xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def read(path: str | os.PathLike[str], meaning: Callable[[Container], T]) -> T:
    """Return what a profile makes of a file; its tensors view the memory-mapped file.

    The map lives as long as the arrays. A file that somebody shortens meanwhile cannot be read any more by
    anyone who maps it, so replace files, never rewrite them.

    Raises:
        ModelFormatError: the file breaks a rule of the container or of the profile; a note names the file.
        OSError: the file cannot be read.
    """
    if sys.byteorder != "little":
        raise ModelFormatError("file: packed words are little-endian, and this machine is not")
    try:
        return meaning(parse(_mapped(path)))
    except ModelFormatError as error:
        error.add_note(f"while reading {path}")
        raise


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the `format` that a file's metadata names; empty where it names none. Its tensors are not read.

    Raises:
        ModelFormatError: the file's header breaks a rule of the container.
        OSError: the file cannot be read.
    """
    return read_metadata(_mapped(path)).get("format", "")


def _mapped(path: str | os.PathLike[str]) -> memoryview:
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # An empty file cannot be mapped; it is refused with the others that are too short.
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
