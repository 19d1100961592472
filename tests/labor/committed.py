"""Committed jobs made by hand: plan, manifest and parts, without any service or engine."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from neuralmesh_server.labor import plan, reports, results, tallies
from neuralmesh_server.labor.plan import Columns, DataFile, FilePin, Numerics, Plan, Recipe, Shard, VersionPin
from neuralmesh_server.labor.results import ActionResult, Skipped


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Committed:
    """A committed job, and the bytes of its outputs by their digests."""

    plan: Plan
    manifest: bytes
    outputs: dict[str, bytes]

    @property
    def output_digest(self) -> str:
        return digest(self.manifest)


def pin(number: int = 1) -> VersionPin:
    files = (FilePin("model.bin", 3, digest(b"%d" % number)),)
    return VersionPin("digits", number, "onnx", digest(b"v%d" % number), files, Numerics("onnx 1", plan.PINNED))


def make(kind: str = plan.EVALUATE, *, shards: int = 3, outputs: tuple[str, ...] = (), same: bool = False) -> Committed:
    """Return a job of shards of ten rows, of which each but the first skips one; `same`: all shards hold one content."""
    versions = (pin(1), pin(2)) if kind == plan.COMPARE else (pin(1),)
    recipe = Recipe(kind, versions, Columns(label="y"), outputs, plan.PARQUET, "pyarrow 1", plan.SKIP, 64)
    files = (DataFile("a.npy", 100, digest(b"a"), 10), DataFile("b.npy", 200, digest(b"b"), 10 * (shards - 1)))
    cut = [Shard(int(n > 0), 10 * max(n - 1, 0), 10, f"blake3:{0 if same else n:064x}", 40) for n in range(shards)]
    made = Plan(recipe, files, 10, tuple(cut))
    held: dict[str, bytes] = {}
    found = []
    for number in range(shards):
        draw = np.random.default_rng(0 if same else number)
        rows = 9 if number and not same else 10
        data, tally = _part(kind, draw, rows)
        held[digest(data)] = data
        skipped = (Skipped(4, 1, "not a number"),) if rows == 9 else ()
        found.append(ActionResult(rows, digest(data), len(data), skipped, tally))
    report = reports.report(kind, [result.tally for result in found])
    return Committed(made, results.manifest(made.digest, found, report), held)


def _part(kind, draw, rows):
    columns = {"row": np.arange(rows)}
    tally = None
    probabilities = draw.dirichlet(np.ones(3), (2, rows)).astype(np.float32)
    labels = probabilities.argmax(axis=2)
    if kind == plan.EVALUATE:
        columns["true_label"] = true = draw.integers(0, 3, rows)
        tally = tallies.evaluation(true, labels[0], tallies.confidences(probabilities[0]))
    columns |= {"label": labels[0], "scores": probabilities[0]}
    if kind == plan.COMPARE:
        columns |= {"baseline_label": labels[1], "baseline_scores": probabilities[1]}
        both = {"label": (labels[1], labels[0]), "scores": (probabilities[1], probabilities[0])}
        tally = tallies.comparison(rows, both, (labels[1], labels[0]))
    sink = io.BytesIO()
    parquet.write_table(pa.table({name: _arrow(values) for name, values in columns.items()}), sink)
    return sink.getvalue(), tally


def _arrow(values):
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
