"""A file or bytes to upload: its digest, its size, and its chunks from an offset."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 1024 * 1024
"""Bytes in one message of a transfer; the contract's limit."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """Bytes with their name.

    Attributes:
        source: A file's path, or the bytes themselves.
        digest: `sha256:` and 64 hexadecimal digits.
        size: In bytes.
    """

    source: Path | bytes
    digest: str
    size: int

    def chunks(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, data) from an offset to the end; at least one pair, empty when nothing is left."""
        stream = BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")
        with stream:
            stream.seek(offset)
            data = stream.read(CHUNK_BYTES)
            yield offset, data
            while data:
                offset += len(data)
                data = stream.read(CHUNK_BYTES)
                if data:
                    yield offset, data


def read_artifact(source: Path | str | bytes) -> Artifact:
    """Hash a file or bytes. Raises OSError when the file cannot be read."""
    if isinstance(source, bytes):
        return Artifact(source, "sha256:" + hashlib.sha256(source).hexdigest(), len(source))
    path = Path(source)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Artifact(path, "sha256:" + digest, file.tell())


def folder_files(path: Path) -> dict[str, Path]:
    """Return the files of a version by their relative paths: one file, or all regular files under a folder, sorted."""
    if path.is_dir():
        found = sorted(entry for entry in path.rglob("*") if entry.is_file())
        return {entry.relative_to(path).as_posix(): entry for entry in found}
    return {path.name: path}
