"""The environment under the flags of a command; `settings` reads the result."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def overlay(flags: Mapping[str, str | None]) -> dict[str, str]:
    """Return the process's environment with the flags that were given on top."""
    return {**os.environ, **{name: value for name, value in flags.items() if value is not None}}


def tls_flags(cert: str | None, key: str | None, ca: str | None) -> dict[str, str | None]:
    """Return the variables behind --tls-cert, --tls-key and --tls-ca."""
    return {"NEURALMESH_TLS_CERT": cert, "NEURALMESH_TLS_KEY": key, "NEURALMESH_TLS_CA": ca}
