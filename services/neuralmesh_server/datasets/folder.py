"""Data sets in the file system: which files belong to one, and where a path within it is.

Links below the folder are refused, not passed over: what they lead to may be anything, and data must not be left out
silently.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from neuralmesh_server.datasets.formats import SUFFIXES, check_path, suffix
from neuralmesh_server.datasets.refusals import data_invalid, dataset_changed, dataset_invalid
from neuralmesh_server.datasets.regular_file import RegularFile

MAX_FILES = 100_000


class Folder:
    """A folder of files, or one file.

    Args:
        root: Its path; the folder itself may be reached over links.

    Raises:
        FailedPreconditionError: DATASET_INVALID where there is none.
    """

    def __init__(self, root: str) -> None:
        try:
            self._root = Path(root).resolve(strict=True)
            mode = self._root.stat().st_mode
        except (OSError, ValueError, RuntimeError) as error:
            raise data_invalid(root, f"cannot be opened: {error}") from error
        self._single = stat.S_ISREG(mode)
        if not self._single and not stat.S_ISDIR(mode):
            raise data_invalid(root, "is neither a folder nor a file")
        if self._single and suffix(self._root.name) not in SUFFIXES:
            raise data_invalid(root, f"has none of the suffixes {', '.join(sorted(SUFFIXES))}")

    def paths(self) -> list[str]:
        """Return the paths of all files, relative, in byte order; raises DATASET_INVALID."""
        if self._single:
            return [self._root.name]
        found: list[str] = []
        pending = [""]
        while pending:
            folders, files = self._listed(pending.pop())
            pending += folders
            found += files
            if len(found) > MAX_FILES:
                raise data_invalid(str(self._root), f"holds more than {MAX_FILES} files")
        return sorted(found, key=os.fsencode)

    def open(self, path: str) -> RegularFile:
        """Return an open file; see `roots.Root`."""
        if self._single:
            if path != self._root.name:
                raise dataset_invalid(path, f"is not the file {self._root.name!r}")
            return RegularFile(str(self._root), path)
        check_path(path)
        where = str(self._root)
        for part in path.split("/")[:-1]:
            where = f"{where}/{part}"
            if os.path.islink(where):  # noqa: PTH114 - there may be a million files, and Path costs more than the rest
                raise dataset_changed(path, "is reached over a symbolic link")
        return RegularFile(f"{self._root}/{path}", path)

    def _listed(self, prefix: str) -> tuple[list[str], list[str]]:
        """Return the folders and the data files in a folder, given and returned as paths that end in a slash."""
        try:
            entries = list(os.scandir(self._root / prefix))
        except OSError as error:
            raise dataset_invalid(prefix or ".", f"cannot be listed: {error.strerror}") from error
        folders, files = [], []
        for entry in entries:
            path = prefix + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                if suffix(entry.name) in SUFFIXES or entry.is_dir():
                    raise dataset_invalid(path, "is a symbolic link; data sets hold files")
            elif entry.is_dir():
                folders.append(path + "/")
            elif suffix(entry.name) in SUFFIXES:
                files.append(_utf8(path))
        return folders, files


def _utf8(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise dataset_invalid(ascii(path), "has a name that is not UTF-8") from error
    return path
