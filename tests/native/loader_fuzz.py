"""A fuzzer of the loaders: model files changed at random must give a valid model or a ModelFormatError, nothing else.

Files are changed as bytes, as JSON and as tensors, alone and in turns, from the corpus in `tests/native/corpus`: small
valid files, and one file for each reason to refuse that the fuzzer has found. As a program it runs for some seconds:

    python -m tests.native.loader_fuzz 60 [--seed 1] [--keep]

With --keep, files that are refused for a reason that no file of the corpus has are added to it.
"""

import argparse
import copy
import hashlib
import json
import operator
import random
import re
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from liam_core import (
    BinaryIndex,
    BinaryNetwork,
    ModelFormatError,
    SignalTransform,
    index_profile,
    profile,
    transform_profile,
)

CORPUS = Path(__file__).parent / "corpus"
WIDEST = 1 << 12
"""The widest input that a model is run on: files of a few bytes may describe models of any width."""

VALUES = [
    *(0, 1, -1, 2, 7, 63, 64, 65, 2**30, 2**30 + 1, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30),
    *(True, False, None, 1.5, -0.0, float("nan"), float("inf"), [], {}, [0], [[]], {"": 0}),
    *("", "0", "1", "2", "input", "__pad.0", "U64", "F64", "BOOL", "\0", "\ud800", "é", "x" * 300),
]
TELLING = b'\x00\x01\x7f\x80\xff 0123456789{}[]",:\\'
ELEMENTS = [
    *(bytes(8), b"\xff" * 8, struct.pack("<q", -1), struct.pack("<q", 2**63 - 1), struct.pack("<2f", np.nan, np.inf)),
    *(struct.pack("<2i", 2**31 - 1, -(2**31)), struct.pack("<2f", -0.0, 3e38), struct.pack("<q", 1)),
]


@dataclass(frozen=True)
class Kind:
    """A kind of model file."""

    profile: Any
    read: Callable[[Path], Any]
    model: Callable[[Any], Any]
    width: Callable[[Any], int]


KINDS = {
    "binary_network": Kind(profile, profile.read_binary_network, BinaryNetwork, lambda network: network.features),
    "binary_index": Kind(index_profile, index_profile.read_binary_index, BinaryIndex, lambda index: index.nbits),
    "signal_transform": Kind(
        transform_profile, transform_profile.read_signal_transform, SignalTransform, lambda chain: chain.width
    ),
}


def corpus(kind: str) -> dict[str, bytes]:
    """Return the corpus of a kind, by file name: `valid-*` are read, `refused-*` are not."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / kind).glob("*.safetensors"))}


def reason(message: str) -> str:
    """Return what a refusal says without the values that it quotes."""
    for value, rest in (
        (r" \(.*", ""),
        (r",? got .*", ""),
        (r"no tensor .*", "no tensor"),
        (r": .* is none", ": none"),
    ):
        message = re.sub(value, rest, message, flags=re.DOTALL)
    return re.sub(r"'[^']*'|[-+]?\d+", "#", message)


def outcome(kind: str, path: Path) -> str:
    """Read a file; return "" for a valid model, else the reason why it is refused.

    A valid model is described, is written as a file that is read as the same model, and runs.
    """
    rules = KINDS[kind]
    try:
        definition = rules.read(path)
    except ModelFormatError as error:
        return reason(str(error))
    content = b"".join(rules.profile._parts(definition))
    again = path.with_name("again")  # not where the definition's arrays are mapped
    again.unlink(missing_ok=True)
    again.write_bytes(content)
    assert b"".join(rules.profile._parts(rules.read(again))) == content
    if rules.width(definition) > WIDEST:
        return ""
    model = rules.model(definition)
    (source,) = model.describe()["inputs"]
    x = np.zeros((3, source["shape"][1]), np.float32 if source["datatype"] == "FP32" else np.uint8)
    results = model.run(x)
    for result in results if isinstance(results, tuple) else (results,):
        assert kind == "signal_transform" or not np.isnan(result).any()
    return ""


# ---- Changes -----------------------------------------------------------------------------------------------------


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container and key of a JSON value."""
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key])


def _change_json(draw: random.Random, tree: Any) -> None:
    places = list(_places(tree))
    if not places:
        return
    holder, key = draw.choice(places)
    other, other_key = draw.choice(places)
    change = draw.randrange(7)
    if change == 0:
        holder[key] = copy.deepcopy(draw.choice(VALUES))
    elif change == 1 and isinstance(holder[key], int):
        holder[key] += draw.choice([-64, -2, -1, 1, 2, 64])
    elif change == 2:
        del holder[key]
    elif change == 3:
        holder[key] = copy.deepcopy(other[other_key])
    elif change == 4 and isinstance(holder, dict):
        holder[draw.choice(["", "x", str(other_key)])] = holder.pop(key)
    elif change == 5:
        # One number wherever it stands, so that a file goes on agreeing with itself.
        old, new = holder[key], draw.choice([value for value in VALUES if type(value) is int])
        for at, name in places if type(old) is int else ():
            if at[name] == old:
                at[name] = new
    elif isinstance(holder, list):
        holder.insert(key, copy.deepcopy(other[other_key]))


def _json_text(draw: random.Random, tree: Any) -> str:
    text = json.dumps(tree, separators=draw.choice([(",", ":"), (", ", ": ")]))
    keys = re.findall(r'"([^"\\]*)":', text)
    if keys and draw.randrange(12) == 0:
        key = draw.choice(keys)
        text = text.replace(f'"{key}":', f'"{key}":0,"{key}":', 1)
    return text


def _take_apart(content: bytes) -> tuple[dict[str, Any], bytes] | None:
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError):
        return None
    return (header, content[8 + length :]) if isinstance(header, dict) else None


def _put_together(draw: random.Random, header: Any, data: bytes) -> bytes:
    text = _json_text(draw, header).encode()
    text += b" " * (-(8 + len(text)) % 64 + (draw.randrange(20) == 0))
    return struct.pack("<Q", len(text)) + text + data


def _change_header(draw: random.Random, content: bytes) -> bytes:
    parts = _take_apart(content)
    if parts is None:
        return _change_bytes(draw, content)
    header, data = parts
    described = header.get("__metadata__")
    texts = described.items() if isinstance(described, dict) else ()
    models = [key for key, text in texts if isinstance(text, str) and text.startswith("{")]
    if models and draw.randrange(3):
        try:
            model = json.loads(described[models[0]])
        except ValueError:
            return _change_bytes(draw, content)
        _change_json(draw, model)
        described[models[0]] = _json_text(draw, model)
    else:
        _change_json(draw, header)
    return _put_together(draw, header, data)


def _change_tensor(draw: random.Random, content: bytes) -> bytes:
    """Overwrite elements, or give a tensor more or fewer of them and move those behind it."""
    parts = _take_apart(content)
    entries = [entry for entry in (parts[0] if parts else {}).values() if isinstance(entry, dict) and "shape" in entry]
    try:
        entry = draw.choice(entries)
        begin, end = map(operator.index, entry["data_offsets"])
        if draw.randrange(3):
            at = begin + draw.randrange(max(1, (end - begin) // 8)) * 8
            data = bytearray(parts[1])
            data[at : at + 8] = draw.choice(ELEMENTS)[: max(0, min(8, end - at))]
        else:
            shift = draw.choice([-64, 64])
            data = parts[1][:end] + bytes(64) if shift > 0 else parts[1][: end - 64]
            data += parts[1][end:]
            for moved in entries:
                moved["data_offsets"] = [offset + shift * (offset >= end) for offset in moved["data_offsets"]]
            size = (end - begin) // max(1, int(np.prod(entry["shape"])))
            entry["shape"][0] += shift // max(1, size * int(np.prod(entry["shape"][1:])))
    except (IndexError, KeyError, TypeError, ValueError, OverflowError):
        return _change_bytes(draw, content)
    return _put_together(draw, parts[0], bytes(data))


def _change_bytes(draw: random.Random, content: bytes) -> bytes:
    data = bytearray(content or b"\0")
    limit = draw.choice([8, min(len(data), 8 + int.from_bytes(data[:8], "little")), len(data)])
    at = draw.randrange(max(1, min(limit, len(data))))
    count = draw.choice([1, 2, 8, 64, draw.randrange(1, 200)])
    change = draw.randrange(7)
    if change == 0:
        data[at] ^= 1 << draw.randrange(8)
    elif change == 1:
        data[at] = draw.choice(TELLING)
    elif change == 2:
        del data[at : at + count]
    elif change == 3:
        data[at:at] = draw.randbytes(count) if draw.randrange(2) else bytes(count)
    elif change == 4:
        data[at:at] = data[at : at + count]
    elif change == 5:
        del data[at + 1 :]
    else:
        data[:8] = struct.pack("<Q", draw.choice([0, 1, 56, len(data), 1 << 20, (1 << 20) + 1, 1 << 63, 2**64 - 1]))
    return bytes(data)


def mutated(draw: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """Return a file with some changes, now and then with the end of another file."""
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        change = draw.choice([_change_bytes, _change_header, _change_header, _change_header, _change_tensor])
        content = change(draw, content)
    if draw.randrange(30) == 0:
        other = draw.choice(others)
        content = content[: draw.randrange(len(content) + 1)] + other[draw.randrange(len(other) + 1) :]
    return content


# ---- Running -----------------------------------------------------------------------------------------------------


def run(kind: str, path: Path, *, seed: int, count: int, found: dict[str, bytes]) -> None:
    """Try `count` changed files of a kind; put into `found` the shortest of each outcome.

    An exception that is no outcome leaves its file at `path`, and says its kind and seed.
    """
    draw = random.Random(seed)
    files = list(corpus(kind).values())
    valid = [content for name, content in corpus(kind).items() if name.startswith("valid-")]
    for _ in range(count):
        content = mutated(draw, draw.choice(valid if draw.randrange(3) else files), files)
        path.unlink(missing_ok=True)  # the map of a file before it may live on
        path.write_bytes(content)
        try:
            result = outcome(kind, path)
        except BaseException as error:
            error.add_note(f"while reading {path}, a {kind} made with seed {seed}")
            raise
        if result not in found or len(content) < len(found[result]):
            found[result] = content


def main() -> int:
    """Run until the time is over; leave the file that fails in the working directory."""
    parser = argparse.ArgumentParser(description="Fuzz the loaders of model files.")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--keep", action="store_true", help="add files with new reasons to the corpus")
    arguments = parser.parse_args()
    end, seed, files = time.monotonic() + arguments.seconds, arguments.seed, 0
    found: dict[str, dict[str, bytes]] = {kind: {} for kind in KINDS}
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory) / "file"
        while time.monotonic() < end:
            for kind in KINDS:
                try:
                    run(kind, scratch, seed=seed, count=200, found=found[kind])
                except BaseException:
                    Path(f"failed-{kind}.safetensors").write_bytes(scratch.read_bytes())
                    raise
            seed, files = seed + 1, files + 200 * len(KINDS)
        for kind in KINDS:
            print(f"{kind}: {len(found[kind])} outcomes")  # noqa: T201
        if arguments.keep:
            _keep(scratch, found)
    print(f"{files} files, seeds {arguments.seed} to {seed - 1}")  # noqa: T201
    return 0


def _keep(scratch: Path, found: dict[str, dict[str, bytes]]) -> None:
    """Add a file for each reason that no file of any kind has: kinds share the container's."""
    known = {""}
    for kind in KINDS:
        for content in corpus(kind).values():
            scratch.unlink(missing_ok=True)
            scratch.write_bytes(content)
            known.add(outcome(kind, scratch))
    for kind in KINDS:
        for why in found[kind].keys() - known:
            name = hashlib.sha256(found[kind][why]).hexdigest()[:12]
            (CORPUS / kind / f"refused-{name}.safetensors").write_bytes(found[kind][why])
        known |= found[kind].keys()


if __name__ == "__main__":
    sys.exit(main())
