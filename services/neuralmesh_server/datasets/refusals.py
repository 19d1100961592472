"""Errors that name the file, and the row, that is wrong."""

from __future__ import annotations

from neuralmesh_server.errors import FailedPreconditionError


def dataset_invalid(file: str, why: str, *, row: int | None = None) -> FailedPreconditionError:
    """Return DATASET_INVALID for a file, or a row of it, counted from 0."""
    if row is None:
        return FailedPreconditionError("DATASET_INVALID", f"{file!r}: {why}", file=file)
    return FailedPreconditionError("DATASET_INVALID", f"row {row} of {file!r}: {why}", file=file, row=row)


def data_invalid(data: str, why: str) -> FailedPreconditionError:
    """Return DATASET_INVALID for a data set as a whole."""
    return FailedPreconditionError("DATASET_INVALID", f"the data {data!r}: {why}", data=data)


def dataset_changed(file: str, why: str) -> FailedPreconditionError:
    """Return DATASET_CHANGED for a file that is not what was frozen."""
    return FailedPreconditionError("DATASET_CHANGED", f"{file!r}: {why}", file=file)
