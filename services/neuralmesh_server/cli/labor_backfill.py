"""Receipts as rows of a data set: what was sent, what was answered then, and which prediction it was."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh import oip
from neuralmesh.exceptions import NeuralMeshError
from neuralmesh.prediction import read_request, read_response

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Row = dict[str, NDArray[Any]]

FILE_ROWS = 65_536
"""Most rows of a file."""

ID, ROW, VERSION, THEN = "prediction_id", "prediction_row", "then_version", "then_"
"""Columns beside the inputs; what was answered then begins with THEN."""


@dataclass(slots=True)
class Export:
    """What becomes of receipts: files of rows whose arrays have the same names, types and shapes.

    Attributes:
        folder: Where files are written.
        rows: Rows that were written.
        receipts: Receipts that they came from.
        left_out: Receipts that gave none, by the reason.
        files: Names of the files.
        inputs: Names of the inputs.
    """

    folder: Path
    rows: int = 0
    receipts: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    inputs: set[str] = field(default_factory=set)
    _waiting: dict[Any, list[Row]] = field(default_factory=dict)
    _counts: dict[Any, int] = field(default_factory=dict)

    def add(self, receipt: Any) -> None:
        """Take a receipt's rows."""
        try:
            inputs, row = _row(receipt)
        except ValueError as error:
            self.left_out[str(error)] = self.left_out.get(str(error), 0) + 1
            return
        key = tuple((name, values.dtype.kind, values.dtype.itemsize, values.shape[1:]) for name, values in row.items())
        key = tuple(entry if entry[1] != "U" else (entry[0], "U", 0, entry[3]) for entry in key)
        self._waiting.setdefault(key, []).append(row)
        self._counts[key] = self._counts.get(key, 0) + len(row[ID])
        self.inputs.update(inputs)
        self.receipts += 1
        self.rows += len(row[ID])
        if self._counts[key] >= FILE_ROWS:
            self._write(key)

    def close(self) -> None:
        """Write what waits."""
        for key in list(self._waiting):
            self._write(key)

    def _write(self, key: Any) -> None:
        rows = self._waiting.pop(key)
        del self._counts[key]
        name = f"receipts-{len(self.files):05}.npz"
        # As np.savez does, which takes no array called `file`.
        with zipfile.ZipFile(self.folder / name, "w") as archive:
            for part in rows[0]:
                with archive.open(f"{part}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.concatenate([row[part] for row in rows]), allow_pickle=False)
        self.files.append(name)


def _row(receipt: Any) -> tuple[list[str], Row]:
    """Return the names of the inputs and the columns of a receipt's rows; raises ValueError with why there are none."""
    if not receipt.HasField("request"):
        raise ValueError("only digests were kept")
    request = oip.ModelInferRequest.FromString(receipt.request)
    if any(tensor.datatype == "BF16" for tensor in request.inputs):
        raise ValueError("NumPy has no type for BF16")
    try:
        inputs = read_request(request)
        outputs = read_response(oip.ModelInferResponse.FromString(receipt.response)).outputs
    except NeuralMeshError as error:
        raise ValueError(error.message) from error
    lengths = {values.shape[:1] for values in inputs.values()}
    if len(lengths) != 1 or () in lengths:
        raise ValueError("its inputs do not have one row each")
    ((rows,),) = lengths
    if any(values.dtype == object for values in inputs.values()):
        raise ValueError("data sets hold no inputs of BYTES")
    columns = {name: inputs[name] for name in sorted(inputs)}
    beside = {
        ID: np.full(rows, receipt.prediction_id),
        ROW: np.arange(rows),
        VERSION: np.full(rows, receipt.version, np.int64),
    }
    for name in sorted(outputs):
        values = outputs[name]
        if values.shape[:1] == (rows,):
            beside[THEN + name] = _text(values) if values.dtype == object else values
    clash = sorted(set(columns) & set(beside))
    if clash:
        raise ValueError(f"an input is called {json.dumps(clash[0])}")
    return list(columns), columns | beside


def _text(values: NDArray[Any]) -> NDArray[np.str_]:
    texts = [value.decode(errors="backslashreplace") for value in values.reshape(-1).tolist()]
    return np.array(texts, np.str_).reshape(values.shape)
