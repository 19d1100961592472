"""What a person writes to mean a version: `MODEL`, `MODEL@3`, `MODEL@production`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neuralmesh_server.names import check_alias, check_model, parse_version

if TYPE_CHECKING:
    from neuralmesh import Client


def split(text: str) -> tuple[str, str]:
    """Return the model and what stands behind the "@", which may be empty.

    Raises:
        InvalidArgumentError: The name of the model, the version or the alias is not one.
    """
    model, separator, which = text.partition("@")
    check_model(model)
    if separator:
        check_which(which)
    return model, which


def check_which(which: str) -> str:
    """Return a version's number or an alias, or raise InvalidArgumentError."""
    if re.match("[a-z]", which):
        return check_alias(which)
    return str(parse_version(which))


def version_number(client: Client, model: str, which: str) -> int:
    """Return the number that a version or an alias stands for."""
    if which.isdecimal():
        return int(which)
    return client.registry.get_alias(model, which).state.version
