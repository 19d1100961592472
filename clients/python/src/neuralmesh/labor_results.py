"""The folder that a job's results end up in: one file a shard, what was done and on what, and how to check it.

A folder is put together beside its place, under a hidden name, and renamed into it when it is complete: nobody ever
sees a part of it there. What it holds follows from the job alone, so that the same job gives the same folder, byte for
byte.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralmesh.exceptions import DataLossError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

PLAN, MANIFEST, REPORT, README, SUMS = "plan.json", "manifest.json", "report.json", "README.txt", "SHA256SUMS"
"""Files beside the parts."""

SUFFIXES = {"parquet": ".parquet", "arrow": ".arrow", "safetensors": ".safetensors"}
"""How the parts of each format end."""

_DIGITS = 5
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """The file of a shard: its name, `sha256:` digest, size in bytes and rows."""

    name: str
    digest: str
    size: int
    rows: int


class ResultFolder:
    """Puts together the folder of a committed job. Use it as a context manager: what is not finished is removed.

    Args:
        path: Where the folder is to be.
        plan: The canonical plan.
        manifest: The canonical output manifest.
        output_digest: What the job says the manifest's digest is.

    Attributes:
        parts: Files of the shards, in order; shards that keep none are left out.

    Raises:
        DataLossError: DIGEST_MISMATCH, the manifest is not the job's, or not of this plan.
        FileExistsError: There is something else at `path`.
    """

    def __init__(self, path: Path | str, plan: bytes, manifest: bytes, output_digest: str) -> None:
        self.path = Path(path)
        self._documents = {PLAN: plan, MANIFEST: manifest}
        if digest(manifest) != output_digest:
            raise _mismatch("manifest", output_digest, digest(manifest))
        said = json.loads(manifest)
        if said["plan"] != digest(plan):
            raise _mismatch("plan", said["plan"], digest(plan))
        self.parts = tuple(parts(json.loads(plan), said))
        if said["report"] is not None:
            self._documents[REPORT] = canonical(said["report"])
        self._documents[README] = readme(json.loads(plan), said, output_digest).encode()
        self._building: Path | None = None
        self._by_digest: dict[str, Path] = {}
        if self.path.is_symlink() or (self.path.exists() and not self._replaceable()):
            raise _taken(self.path)

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._building = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._building is not None:
            shutil.rmtree(self._building, ignore_errors=True)

    def is_complete(self) -> bool:
        """Say whether the folder is there already, with every file as it is to be."""
        expected = {part.name: part.digest for part in self.parts}
        expected |= {name: digest(data) for name, data in self._complete_documents().items()}
        try:
            found = {entry.name: file_digest(entry) for entry in self.path.iterdir()}
        except OSError:
            return False
        return found == expected

    def missing(self) -> Iterator[tuple[Part, Path]]:
        """Yield each part that is to be written, and where; one that was written before under another name is not."""
        assert self._building is not None
        for part in self.parts:
            place = self._building / part.name
            same = self._by_digest.get(part.digest)
            if same is not None:
                link_or_copy(same, place)
                continue
            yield part, place
            if place.stat().st_size != part.size:
                raise _mismatch(part.name, part.digest, f"{place.stat().st_size} bytes")
            self._by_digest[part.digest] = place

    def finish(self) -> Path:
        """Make the folder visible, whole, and return its path."""
        assert self._building is not None
        for name, data in self._complete_documents().items():
            with (self._building / name).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for part in self.parts:
            _sync(self._building / part.name)
        self._building.chmod(0o755)  # temporary folders are private, results are what anybody made
        _sync(self._building)
        if self.path.exists() and any(self.path.iterdir()):  # an earlier copy of the same results
            aside = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
            self.path.replace(aside)
            self._building.replace(self.path)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            self._building.replace(self.path)
        _sync(self.path.parent)
        self._building = None
        return self.path

    def _replaceable(self) -> bool:
        """Say whether what stands at the path is an empty folder, or one of the same job with nothing beside it."""
        if not self.path.is_dir():
            return False
        found = {entry.name for entry in self.path.iterdir()}
        if not found:
            return True
        own = {part.name for part in self.parts} | self._documents.keys() | {SUMS}
        try:
            return found <= own and (self.path / PLAN).read_bytes() == self._documents[PLAN]
        except OSError:
            return False

    def _complete_documents(self) -> dict[str, bytes]:
        sums = {part.name: part.digest for part in self.parts}
        sums |= {name: digest(data) for name, data in self._documents.items()}
        return self._documents | {SUMS: sum_lines(sums).encode()}


def check_place(path: Path | str, data: Path | str = "") -> None:
    """Refuse a place where no folder of results can be, before a job is run for it.

    Args:
        path: Where the folder is to be.
        data: The data of the job, as far as it is on this machine.

    Raises:
        FileExistsError: There is something else.
        NotADirectoryError: What should hold the folder is a file.
        PermissionError: What should hold the folder may not be written to.
        InvalidArgumentError: FIELD_INVALID, it is within the data, of which results would be a part from then on.
    """
    path = Path(path)
    taken = path.is_symlink() or path.exists()
    if taken and (path.is_symlink() or not path.is_dir() or (any(path.iterdir()) and not (path / PLAN).is_file())):
        raise _taken(path)
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(parent))
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(parent))
    if data and "://" not in str(data) and path.resolve().is_relative_to(Path(data).resolve()):
        why = f"out: {path} is within the data {data}, of which the results would be a part from then on"
        raise InvalidArgumentError("FIELD_INVALID", why, {"field": "out"})


def parts(plan: Any, manifest: Any) -> Iterator[Part]:
    """Yield the files of the shards that keep one, from the documents as JSON."""
    suffix = SUFFIXES[plan["recipe"]["format"]]
    digits = max(_DIGITS, len(str(len(manifest["shards"]) - 1)))
    for number, (name, size, rows, _) in enumerate(manifest["shards"]):
        if name:
            yield Part(f"part-{number:0{digits}}{suffix}", name, size, rows)


def sum_lines(sums: dict[str, str]) -> str:
    """Return digests by names as `sha256sum --check` reads them."""
    return "".join(f"{sums[name].removeprefix('sha256:')}  {name}\n" for name in sorted(sums))


def readme(plan: Any, manifest: Any, output_digest: str) -> str:
    """Return what people read who find the folder, from the documents as JSON."""
    recipe, versions = plan["recipe"], plan["versions"]
    work = {
        "infer": "The answers of a version of a model to every row of a data set.",
        "evaluate": "A version of a model, held against true labels row by row.",
        "compare": "Two versions of a model on the same rows, compared row by row.",
    }[recipe["kind"]]
    roles = ("version", "compared with")
    lines = [
        work,
        "",
        *(
            f"{role}: {one['model']}/{one['version']}, {one['digest']}"
            for role, one in zip(roles, versions, strict=False)
        ),
        *(f"computed by: {one['numerics'][0]} ({one['numerics'][1]})" for one in versions[:1]),
        f"data: {_count(len(plan['files']), 'file')}, {_count(sum(file[3] for file in plan['files']), 'row')}",
        f"shards: {len(plan['shards'])} of at most {_count(plan['rows_per_shard'], 'row')}",
        f"rows with a result: {manifest['rows']}",
        f"rows skipped: {sum(rows for shard in manifest['shards'] for _, rows, _ in shard[3])}",
        f"plan digest: {manifest['plan']}",
        f"output digest: {output_digest}",
        "",
        "Files",
        f"  {PLAN}      what was done, on which data, by which version; its SHA-256 is the plan digest",
        f"  {MANIFEST}  digest, size, rows and skipped rows of each shard; its SHA-256 is the output digest",
        *([f"  {REPORT}    the figures, as they stand in {MANIFEST}"] if manifest["report"] is not None else []),
        f"  part-*{SUFFIXES[recipe['format']]}  results, one file a shard, rows in the order of the data;",
        "                 `row` counts from the first row of the shard",
        f"  {SUMS}     for `sha256sum --check {SUMS}`",
        "",
        "To check the folder without any service: neuralmesh labor verify .",
        "The same job gives the same bytes again, on any number of workers.",
        "",
    ]
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def canonical(fact: Any) -> bytes:
    """Return the canonical bytes of a JSON document: keys in order, no white space, UTF-8."""
    return json.dumps(fact, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(data: bytes) -> str:
    """Return `sha256:` and the hexadecimal digest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """Return the digest of a file's bytes; raises OSError."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or where the file system does not, copy it."""
    try:
        target.hardlink_to(source)
    except OSError:
        with source.open("rb") as taken, target.open("xb") as file:
            shutil.copyfileobj(taken, file, _CHUNK)
            file.flush()
            os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _taken(path: Path) -> FileExistsError:
    why = "exists and holds something else than the results of this job"
    return FileExistsError(errno.EEXIST, why, str(path))


def _mismatch(what: str, expected: str, actual: str) -> DataLossError:
    return DataLossError(
        "DIGEST_MISMATCH",
        f"the {what} that came is {actual} instead of {expected}",
        {"expected": expected, "actual": actual},
    )
