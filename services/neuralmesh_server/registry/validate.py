"""What a request of the registry may say: every limit of the contract, checked before a rule sees it.

Names, versions and digests are `neuralmesh_server.names`'s. Nothing here looks at the state.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from neuralmesh_server import names
from neuralmesh_server.content_store import CHUNK_BYTES, MAX_ARTIFACT_BYTES
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.prediction_id import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DESCRIPTION_BYTES = 4096
ACTOR_BYTES = 256
REASON_BYTES = 1024
REQUEST_ID_BYTES = 128
METADATA_PAIRS = 64
METADATA_KEY_BYTES = 128
METADATA_VALUE_BYTES = 1024
FILES = 1000
PATH_BYTES = 255
DIGESTS = 1000
TENSOR_NAME_BYTES = 128
TENSORS = 1000
DIMENSIONS = 64
DEFAULT_PAGE = 100
LARGEST_PAGE = 1000

DATATYPES = frozenset(
    {
        *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
        *("FP16", "FP32", "FP64", "BF16", "BYTES"),
    }
)
LABEL_DATATYPES = frozenset({"INT64", "BYTES"})

BATCHING_KEY = "batching"
"""Reserved metadata key: nodes never join requests of a version that says BATCHING_EXACT there."""
BATCHING_EXACT = "exact"

_LAYOUT = frozenset("\n\t")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that reorder the text around them, so that it reads as something else."""

_PATH = re.compile(r"[A-Za-z0-9._/-]+", re.ASCII)
_LARGEST_DIMENSION = 2**53 - 1


def invalid(field: str, why: str, **metadata: object) -> InvalidArgumentError:
    """Return FIELD_INVALID for a field."""
    return InvalidArgumentError("FIELD_INVALID", f"{field} {why}", field=field, **metadata)


def text(field: str, value: str, limit: int) -> str:
    """Return free text of at most `limit` bytes, in which newline and tab are the only control characters.

    The others would steer the terminal of whoever reads the history.
    """
    size = len(value.encode())
    if size > limit:
        raise invalid(field, f"has {size} bytes; at most {limit} are permitted", size=size, limit=limit)
    for character in value:
        if (unicodedata.category(character) == "Cc" and character not in _LAYOUT) or character in _BIDI:
            raise invalid(field, f"contains the control character U+{ord(character):04X}")
    return value


def line(field: str, value: str, limit: int) -> str:
    """Return text of at most `limit` bytes without control characters, which would forge logs and tables."""
    text(field, value, limit)
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in value):
        raise invalid(field, "contains control characters")
    return value


def required_line(field: str, value: str, limit: int) -> str:
    """Return text as `line` does; empty is refused."""
    if not value:
        raise invalid(field, "is missing")
    return line(field, value, limit)


def page_size(value: int) -> int:
    """Return how many items a page holds at most."""
    if value < 0:
        raise invalid("page_size", f"is {value}; it must not be negative", value=value)
    return min(value or DEFAULT_PAGE, LARGEST_PAGE)


def path(field: str, value: str) -> str:
    """Return a relative path that stays within its version."""
    shown = ascii(value[:80])
    if len(value.encode()) > PATH_BYTES:
        raise invalid(field, f"is longer than {PATH_BYTES} bytes", limit=PATH_BYTES)
    if not _PATH.fullmatch(value):
        raise invalid(field, f"{shown} does not match [A-Za-z0-9._/-]+", path=shown)
    if any(part in {"", ".", ".."} for part in value.split("/")):
        raise invalid(field, f"{shown} has a part that is empty, '.' or '..'", path=shown)
    return value


def files(items: Iterable[Any]) -> None:
    """Check the files of a manifest: number, paths, sizes, digests, no path twice or below a file."""
    paths: set[str] = set()
    count = 0
    for count, item in enumerate(items, 1):
        if count > FILES:
            raise invalid("files", f"holds more than {FILES} files", limit=FILES)
        field = f"files[{count - 1}]"
        if path(f"{field}.path", item.path) in paths:
            raise invalid(f"{field}.path", f"{item.path!r} is given twice", path=item.path)
        paths.add(item.path)
        size(f"{field}.size_bytes", item.size_bytes)
        names.check_digest(item.digest)
    if not count:
        raise invalid("files", "is empty; a version has at least one file")
    for known in paths:
        parts = known.split("/")
        for end in range(1, len(parts)):
            folder = "/".join(parts[:end])
            if folder in paths:
                raise invalid("files", f"has {folder!r} both as a file and as a folder", path=folder)


def size(field: str, value: int) -> int:
    """Return the size of an artifact."""
    if not 0 <= value <= MAX_ARTIFACT_BYTES:
        raise invalid(
            field, f"is {value}; sizes go from 0 to {MAX_ARTIFACT_BYTES}", value=value, limit=MAX_ARTIFACT_BYTES
        )
    return value


def signature(message: Any) -> None:
    """Check a signature."""
    for side in ("inputs", "outputs"):
        tensors = getattr(message, side)
        if len(tensors) > TENSORS:
            raise invalid(f"signature.{side}", f"holds more than {TENSORS} tensors", limit=TENSORS)
        seen: set[str] = set()
        for index, tensor in enumerate(tensors):
            field = f"signature.{side}[{index}]"
            if required_line(f"{field}.name", tensor.name, TENSOR_NAME_BYTES) in seen:
                raise invalid(f"{field}.name", f"{tensor.name!r} is given twice", name=tensor.name)
            seen.add(tensor.name)
            _tensor(field, tensor)
    label = message.label_output
    if label and not any(tensor.name == label and tensor.datatype in LABEL_DATATYPES for tensor in message.outputs):
        shown = ascii(label[:80])
        raise invalid("signature.label_output", f"{shown} is no INT64 or BYTES output", name=shown)


def pairs(field: str, given: Mapping[str, str]) -> None:
    """Check facts of the caller's own: their number, and the size of their keys and values."""
    if len(given) > METADATA_PAIRS:
        raise invalid(field, f"holds more than {METADATA_PAIRS} pairs", limit=METADATA_PAIRS)
    for key, value in given.items():
        required_line(f"{field} key", key, METADATA_KEY_BYTES)
        text(f"{field}[{key}]", value, METADATA_VALUE_BYTES)


def metadata(given: Mapping[str, str]) -> None:
    """Check a version's metadata."""
    pairs("metadata", given)
    for key, value in given.items():
        if key == BATCHING_KEY and value != BATCHING_EXACT:
            raise invalid(f"metadata[{key}]", f"{value[:80]!a} is not {BATCHING_EXACT!r}, its one value")


def target_version(value: int) -> int:
    """Return the version to roll back to; 0 stands for the one before."""
    return value if value == 0 else names.check_version(value)


def digests(items: Iterable[str]) -> list[str]:
    """Return digests to look for."""
    found = list(items)
    if len(found) > DIGESTS:
        raise invalid("digests", f"holds more than {DIGESTS} digests", limit=DIGESTS)
    for digest in found:
        names.check_digest(digest)
    return found


def chunk(message: Any, *, first: bool) -> None:
    """Check one message of an upload by itself."""
    if first or message.digest:
        names.check_digest(message.digest)
    if first and message.size_bytes < 0:
        raise invalid("size_bytes", f"is {message.size_bytes}; it must not be negative", value=message.size_bytes)
    if message.offset < 0:
        raise invalid("offset", f"is {message.offset}; it must not be negative", value=message.offset)
    if len(message.data) > CHUNK_BYTES:
        raise invalid("data", f"has {len(message.data)} bytes; a chunk has at most {CHUNK_BYTES}", limit=CHUNK_BYTES)


def byte_range(offset: int, length: int) -> None:
    """Check the range of a download by itself."""
    for field, value in (("offset", offset), ("length", length)):
        if value < 0:
            raise invalid(field, f"is {value}; it must not be negative", value=value)


def id_key(key: bytes) -> bytes:
    """Return a node's key."""
    if len(key) != KEY_BYTES:
        raise invalid("id_key", f"has {len(key)} bytes instead of {KEY_BYTES}", size=len(key))
    return key


def _tensor(field: str, tensor: Any) -> None:
    if tensor.datatype not in DATATYPES:
        shown = ascii(tensor.datatype[:80])
        raise invalid(f"{field}.datatype", f"{shown} is not a datatype of the protocol", datatype=shown)
    if len(tensor.shape) > DIMENSIONS:
        raise invalid(f"{field}.shape", f"has more than {DIMENSIONS} dimensions", limit=DIMENSIONS)
    for dimension in tensor.shape:
        if not -1 <= dimension <= _LARGEST_DIMENSION:
            raise invalid(f"{field}.shape", f"has dimension {dimension}; -1 stands for any length", dimension=dimension)
