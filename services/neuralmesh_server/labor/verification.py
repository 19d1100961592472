"""Holds a folder of results against itself: everything in it that follows from something else in it is worked out anew.

It needs no service and believes no file. What it cannot know is whether the data was what somebody thinks; with the
data at hand that is looked at as well.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical
from neuralmesh_server.labor import plan as plans
from neuralmesh_server.labor import recount

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from neuralmesh_server.labor.plan import Plan

_KINDS = frozenset({plans.INFER, plans.EVALUATE, plans.COMPARE})
_FORMATS = frozenset({plans.PARQUET, plans.ARROW, plans.SAFETENSORS})


@dataclass(slots=True)
class Verdict:
    """What was found.

    Attributes:
        held: What holds, as sentences.
        wrong: What does not.
        facts: Digests and counts, for programs.
    """

    held: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def verify(
    folder: Path, parts: Callable[[Any, Any], Sequence[Any]], data: Callable[[Plan], Sequence[str]] | None = None
) -> Verdict:
    """Return what holds of a folder of results and what does not.

    Args:
        folder: The folder.
        parts: Returns from plan and manifest, as JSON, the files that there must be: name, digest, size, rows.
        data: Returns what of the data is not what a plan says; None where it is not to be looked at.
    """
    verdict = Verdict()
    plan = _plan(folder, verdict)
    manifest = _manifest(folder, plan, verdict)
    if plan is None or manifest is None:
        return verdict
    _shards(plan, manifest, verdict)
    expected = list(parts(json.loads(plan.canonical), manifest))
    sound = _files(folder, expected, verdict)
    _report(folder, plan, manifest, [folder / part.name for part in expected] if sound else None, verdict)
    if data is not None:
        wrong = data(plan)
        verdict.wrong += wrong
        if not wrong:
            verdict.held.append(
                f"the data is what the plan says: {_count(len(plan.files), 'file')}, {_count(plan.rows, 'row')}"
            )
    return verdict


def _plan(folder: Path, verdict: Verdict) -> Plan | None:
    data = _read(folder, "plan.json", verdict)
    if data is None:
        return None
    try:
        plan = plans.parse(data)
    except ValueError as error:
        verdict.wrong.append(f"plan.json: {error}")
        return None
    if plan.recipe.kind not in _KINDS or plan.recipe.format not in _FORMATS:
        verdict.wrong.append(f"plan.json: there are no jobs of kind {plan.recipe.kind!r} into {plan.recipe.format!r}")
        return None
    for problem in _cut(plan):
        verdict.wrong.append(f"plan.json: {problem}")
    actions = hashlib.sha256("\n".join(plan.actions()).encode()).hexdigest()
    verdict.facts |= {
        "plan_digest": plan.digest,
        "recipe_digest": plan.recipe.digest(),
        "dataset_digest": plan.dataset_digest(),
        "job": plan.job,
        "shards": len(plan.shards),
        "actions": f"sha256:{actions}",
    }
    verdict.held.append(f"plan.json is canonical: plan {plan.digest}, {_count(len(plan.shards), 'action')}")
    return plan


def _cut(plan: Plan) -> list[str]:
    """Return what is wrong with how a plan cuts the data: every row of every file in one shard, in order."""
    wrong = []
    if [file.path for file in plan.files] != sorted({file.path for file in plan.files}, key=str.encode):
        wrong.append("its files are not in byte order of their paths, each once")
    place = [0] * len(plan.files)
    last = 0
    for number, shard in enumerate(plan.shards):
        if not last <= shard.file < len(plan.files):
            return [*wrong, f"shard {number} is of a file out of order"]
        if shard.first_row != place[shard.file] or not 0 < shard.rows <= plan.rows_per_shard:
            return [*wrong, f"shard {number} does not go on where the one before it ended"]
        last = shard.file
        place[shard.file] += shard.rows
    for rows, file in zip(place, plan.files, strict=True):
        if rows != file.rows:
            wrong.append(f"its shards have {rows} rows of {file.path}, which has {file.rows}")
    return wrong


def _manifest(folder: Path, plan: Plan | None, verdict: Verdict) -> Any:
    data = _read(folder, "manifest.json", verdict)
    if data is None:
        return None
    try:
        said = _parsed(data)
    except (KeyError, TypeError, ValueError) as error:
        verdict.wrong.append(f"manifest.json: {error}")
        return None
    output = "sha256:" + hashlib.sha256(data).hexdigest()
    verdict.facts |= {"output_digest": output, "rows": said["rows"]}
    verdict.held.append(f"manifest.json is canonical: output {output}")
    if plan is not None and said["plan"] != plan.digest:
        verdict.wrong.append(f"manifest.json is of the plan {said['plan']}; plan.json is {plan.digest}")
        return None
    return said


def _parsed(data: bytes) -> Any:
    """Return a manifest as JSON; raises KeyError, TypeError or ValueError where it is none in canonical form."""
    said = json.loads(data)
    if canonical.encode(said) != data:
        raise ValueError("its bytes are not canonical")
    if set(said) != {"labor_output", "plan", "report", "rows", "shards"} or said["labor_output"] != 1:
        raise ValueError("it is no output manifest")
    for digest, size, rows, skipped in said["shards"]:
        _typed((digest, str), (size, int), (rows, int))
        for first, count, why in skipped:
            _typed((first, int), (count, int), (why, str))
    return said


def _typed(*pairs: tuple[object, type]) -> None:
    for value, kind in pairs:
        if type(value) is not kind:
            raise TypeError(f"{value!r} stands where a {kind.__name__} belongs")


def _shards(plan: Plan, manifest: Any, verdict: Verdict) -> None:
    """Hold the counts of all shards against the plan."""
    if len(manifest["shards"]) != len(plan.shards):
        verdict.wrong.append(f"manifest.json has {len(manifest['shards'])} shards; the plan has {len(plan.shards)}")
        return
    skipped_rows = 0
    for number, (shard, (digest, _, rows, skipped)) in enumerate(zip(plan.shards, manifest["shards"], strict=True)):
        if not digest:
            verdict.wrong.append(f"manifest.json: shard {number} names no file")
        end = 0
        for first, count, _ in skipped:
            if first < end or count < 1:
                verdict.wrong.append(f"manifest.json: the skipped rows of shard {number} are not in order")
            end = first + count
        missing = sum(count for _, count, _ in skipped)
        skipped_rows += missing
        if end > shard.rows or rows + missing != shard.rows:
            verdict.wrong.append(
                f"manifest.json: shard {number} has {rows} rows and skips {missing}; the plan gives it {shard.rows}"
            )
    total = sum(rows for _, _, rows, _ in manifest["shards"])
    if total != manifest["rows"]:
        verdict.wrong.append(f"manifest.json says {manifest['rows']} rows; its shards have {total}")
    verdict.facts["skipped_rows"] = skipped_rows


def _files(folder: Path, expected: list[Any], verdict: Verdict) -> bool:
    """Hold every part against its digest, and the folder against the list of what belongs in it."""
    before = len(verdict.wrong)
    for part in expected:
        try:
            size, found = _digest(folder / part.name)
        except OSError as error:
            verdict.wrong.append(f"{part.name}: {error.strerror}")
            continue
        if size != part.size:
            verdict.wrong.append(f"{part.name} has {size} bytes; the manifest says {part.size}")
        elif found != part.digest:
            verdict.wrong.append(f"{part.name} is {found}; the manifest says {part.digest}")
    known = {part.name for part in expected}
    strays = sorted(path.name for path in folder.iterdir() if path.name.startswith("part-") and path.name not in known)
    verdict.wrong += [f"{name} belongs to no shard of the manifest" for name in strays]
    sound = len(verdict.wrong) == before
    if sound:
        size = sum(part.size for part in expected)
        verdict.held.append(f"{_count(len(expected), 'part')}, {_count(size, 'byte')}: each has its digest")
    return sound


def _report(folder: Path, plan: Plan, manifest: Any, parts: list[Path] | None, verdict: Verdict) -> None:
    said = manifest["report"]
    if said is None:
        if plan.recipe.kind != plans.INFER:
            verdict.wrong.append(f"manifest.json has no report; the plan is to {plan.recipe.kind}")
        return
    if plan.recipe.kind == plans.INFER:
        verdict.wrong.append("manifest.json has a report, which no inference gives")
        return
    data = _read(folder, "report.json", verdict)
    if data is not None and data != canonical.encode(said):
        verdict.wrong.append("report.json is not the report of the manifest")
    if parts is None:
        return
    try:
        counted = recount.report(plan.recipe, parts)
    except (ValueError, TypeError, OSError) as error:  # a column of another type than any job writes is both at times
        verdict.wrong.append(f"the parts cannot be read: {error}")
        return
    if counted is None:
        verdict.held.append("the report cannot be counted again, since not every output was kept")
    elif counted != said:
        verdict.wrong.append(f"the report does not follow from the parts: {_first_difference(said, counted)}")
    else:
        verdict.held.append("the report follows from the parts")


def _first_difference(said: Any, counted: Any, path: str = "") -> str:
    if isinstance(said, dict) and isinstance(counted, dict):
        for key in sorted({*said, *counted}):
            if said.get(key) != counted.get(key):
                return _first_difference(said.get(key), counted.get(key), f"{path}.{key}" if path else key)
    if isinstance(said, list) and isinstance(counted, list) and len(said) == len(counted):
        for index, (one, other) in enumerate(zip(said, counted, strict=True)):
            if one != other:
                return _first_difference(one, other, f"{path}[{index}]")
    return f"{path} is {said!r}, the parts give {counted!r}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _digest(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), "sha256:" + digest


def _read(folder: Path, name: str, verdict: Verdict) -> bytes | None:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        verdict.wrong.append(f"{name}: {error.strerror}")
        return None
