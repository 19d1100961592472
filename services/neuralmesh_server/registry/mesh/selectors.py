"""Selectors: which nodes are meant, by their labels.

A selector is a list of requirements joined by commas, all of which must hold: `key=value`, `key!=value` (also where
there is no such label), `key` (there is such a label) and `!key`. `*` alone matches every node. The canonical text has
the requirements in byte order, each once, without spaces, so that two ways to write the same selector are one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from neuralmesh_server import names
from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY_NODE = "*"
REQUIREMENTS = 16


_KEY, _VALUE = names.LABEL_KEY.pattern, names.LABEL_VALUE.pattern
_REQUIREMENT = re.compile(rf"(?P<absent>!)?(?P<key>{_KEY})(?:(?P<sign>!?=)(?P<value>{_VALUE}))?", re.ASCII)


class Demand(Enum):
    """What a requirement demands of a label, by what follows or precedes its key."""

    EQUAL = "="
    DIFFERENT = "!="
    PRESENT = ""
    ABSENT = "!"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement; `value` is empty where the demand names none."""

    key: str
    demand: Demand
    value: str = ""

    @property
    def text(self) -> str:
        """How it is written."""
        if self.demand is Demand.ABSENT:
            return f"!{self.key}"
        return f"{self.key}{self.demand.value}{self.value}"

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Say whether labels meet it."""
        if self.demand is Demand.EQUAL:
            return labels.get(self.key) == self.value
        if self.demand is Demand.DIFFERENT:
            return labels.get(self.key) != self.value
        return (self.key in labels) is (self.demand is Demand.PRESENT)


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements in canonical order; none matches every node."""

    requirements: tuple[Requirement, ...] = ()

    @property
    def text(self) -> str:
        """The canonical text."""
        return ",".join(requirement.text for requirement in self.requirements) or EVERY_NODE

    @property
    def keys(self) -> frozenset[str]:
        """Keys of the labels on which it depends."""
        return frozenset(requirement.key for requirement in self.requirements)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether labels meet every requirement."""
        return all(requirement.holds(labels) for requirement in self.requirements)


def parse(text: str, field: str = "selector") -> Selector:
    """Return the selector of a text; spaces around requirements do not count.

    Raises:
        InvalidArgumentError: FIELD_INVALID, which names the requirement.
    """
    parts = [part.strip(" ") for part in text.split(",")]
    if parts == [EVERY_NODE]:
        return Selector()
    if len(parts) > REQUIREMENTS:
        raise InvalidArgumentError(
            "FIELD_INVALID",
            f"{field} holds {len(parts)} requirements; at most {REQUIREMENTS} are permitted",
            field=field,
            limit=REQUIREMENTS,
        )
    found = {requirement.text: requirement for requirement in (_requirement(part, field) for part in parts)}
    return Selector(tuple(found[known] for known in sorted(found)))


def _requirement(text: str, field: str) -> Requirement:
    match = _REQUIREMENT.fullmatch(text)
    if match is None or (match["absent"] and match["sign"]):
        shown = ascii(text[:80])
        raise InvalidArgumentError(
            "FIELD_INVALID",
            f"{field} has the requirement {shown}, which is none of key=value, key!=value, key and !key",
            field=field,
            requirement=shown,
        )
    if match["sign"]:
        return Requirement(match["key"], Demand(match["sign"]), match["value"])
    return Requirement(match["key"], Demand.ABSENT if match["absent"] else Demand.PRESENT)
