"""Which columns of a file are inputs, which one is the label and which one tells rows by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from neuralmesh_server.datasets.refusals import dataset_invalid

if TYPE_CHECKING:
    from collections.abc import Sequence


class ColumnRoles(Protocol):
    """What somebody says about the columns; see ColumnMapping in the contract of the labor array."""

    @property
    def inputs(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Columns of each input by its name; empty to leave it to the format."""

    @property
    def label(self) -> str:
        """Column of the true labels; empty for none."""

    @property
    def id(self) -> str:
        """Column that tells rows by; empty for none."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns of one file by what they are for: names that the file has.

    Attributes:
        inputs: Columns of each input by its name, in order.
        label: Column of the labels; None for none.
        id: Column that tells rows by; None for none.
    """

    inputs: tuple[tuple[str, tuple[str, ...]], ...]
    label: str | None
    id: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read, once, in order."""
        named = [column for _, columns in self.inputs for column in columns]
        return tuple(dict.fromkeys([*named, *filter(None, (self.label, self.id))]))


def of_table(file: str, names: Sequence[str], wanted: ColumnRoles) -> Roles:
    """Return the roles of a table's columns; without a word about inputs, all that have no other role are one input."""
    return _resolved(file, names, wanted, lambda rest: (("", tuple(rest)),))


def of_arrays(file: str, names: Sequence[str], wanted: ColumnRoles) -> Roles:
    """Return the roles of named arrays; without a word about inputs, each that has no other role is one."""
    return _resolved(file, names, wanted, lambda rest: tuple((name, (name,)) for name in rest))


def of_array(file: str, wanted: ColumnRoles) -> Roles:
    """Return the role of the one array of a file, which has no name and is the input."""
    if wanted.label or wanted.id or wanted.inputs:
        raise dataset_invalid(file, "has one array, which is the input: it has no columns to name")
    return Roles((("", ("",)),), None, None)


class _Rest(Protocol):
    def __call__(self, rest: list[str], /) -> tuple[tuple[str, tuple[str, ...]], ...]: ...


def _resolved(file: str, names: Sequence[str], wanted: ColumnRoles, of_rest: _Rest) -> Roles:
    known = set(names)
    if len(known) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise dataset_invalid(file, f"has two columns {twice!r}")
    named = [column for _, columns in wanted.inputs for column in columns]
    for column in filter(None, (*named, wanted.label, wanted.id)):
        if column not in known:
            raise dataset_invalid(file, f"has no column {column!r}; it has {_listed(names)}")
    for column in filter(None, (wanted.label, wanted.id)):
        if column in named:
            raise dataset_invalid(file, f"column {column!r} cannot be an input and a label or an id as well")
    inputs = wanted.inputs or of_rest([name for name in names if name not in {wanted.label, wanted.id}])
    if not any(columns for _, columns in inputs):
        raise dataset_invalid(file, f"has no column for an input; it has {_listed(names)}")
    return Roles(tuple(sorted(inputs)), wanted.label or None, wanted.id or None)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "") if names else "none"
