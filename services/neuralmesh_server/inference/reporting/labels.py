"""Label outputs of predictions: as they are remembered one by one, and as they are reported, version by version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from liam_core.oip import HeldLabels
    from neuralmesh_server.inference.reporting.activity import VersionActivity


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """The label output of one prediction: raw elements as they were answered."""

    activity: VersionActivity
    datatype: str
    prediction_id: str
    rows: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """The label outputs of predictions of one version, in order: ids, rows of each, and the raw elements of all."""

    activity: VersionActivity
    datatype: str
    prediction_ids: list[str]
    rows: list[int]
    raw: bytes


def held_batches(held: HeldLabels, owners: Mapping[int, VersionActivity], head: str) -> list[LabelBatch]:
    """Return labels that a codec kept; `head` is what the prediction ids begin with."""
    return [
        LabelBatch(owners[owner], "INT64", [head + text for text in ids], rows, values)
        for owner, ids, rows, values in held.by_owner()
    ]


def record_batches(records: Iterable[LabelRecord]) -> list[LabelBatch]:
    """Return labels that were remembered one by one."""
    groups: dict[tuple[int, str], list[LabelRecord]] = {}
    for record in records:
        groups.setdefault((id(record.activity), record.datatype), []).append(record)
    batches = []
    for (_, datatype), group in groups.items():
        ids, rows = [record.prediction_id for record in group], [record.rows for record in group]
        batches.append(LabelBatch(group[0].activity, datatype, ids, rows, b"".join(record.raw for record in group)))
    return batches
