"""What writes the files of results, by name: it determines their bytes, so plans name it.

It is known without importing anything: plans are made where nothing is written.
"""

from __future__ import annotations

from importlib import metadata

from neuralmesh_server.errors import NotSupportedError

PARQUET, ARROW, SAFETENSORS = "parquet", "arrow", "safetensors"
"""Formats of results."""

LAYOUT = 1
"""Goes up whenever the settings of a writer, or the columns that it is given, change."""


def writer(form: str) -> str:
    """Return what writes a format here.

    Raises:
        NotSupportedError: NOT_SUPPORTED: nothing does; pyarrow comes with the extra `labor`.
    """
    if form == SAFETENSORS:
        return f"neuralmesh safetensors {LAYOUT}"
    if form in (PARQUET, ARROW):
        try:
            return f"pyarrow {metadata.version('pyarrow')} {form} {LAYOUT}"
        except metadata.PackageNotFoundError:
            why = f"writing {form} needs pyarrow: install neuralmesh[labor]"
            raise NotSupportedError("NOT_SUPPORTED", why, feature=form) from None
    raise NotSupportedError("NOT_SUPPORTED", f"no results are written as {form!r}", feature=form)
