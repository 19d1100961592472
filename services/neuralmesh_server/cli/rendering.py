"""What commands print: tables for people, JSON for programs. Knows messages only through their descriptors."""

from __future__ import annotations

import base64
import json
import math
import sys
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.message import Message
    from rich.console import Console
    from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
"""The flag of every command that reads."""

PLAIN_WIDTH = 200
"""Columns of a table that no terminal shows."""

WIDE = 110
"""Columns from which a table with many figures stays in one piece."""

_FOLDED = frozenset(
    {
        *(
            "aliases",
            "by",
            "certificate",
            "description",
            "detail",
            "file",
            "in force by",
            "key",
            "kind",
            "labels",
            "name",
        ),
        *("ready on", "reason", "rollback goes through", "selector", "shape", "state", "values", "what", "who", "why"),
    }
)
"""Headings of columns whose cells may go on in the next line; figures, versions, times and digests stay whole."""

_LEAST_FOLDED = 4
_GAP = 2
_HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


def print_json(value: object) -> None:
    """Print a JSON document."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def plain(text: str) -> str:
    """Return text that cannot steer a terminal, reorder what stands beside it, or look like a line of its own.

    Control, format and bidirectional characters and line ends are shown as escapes.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(letter) if unicodedata.category(letter) in _HIDDEN else letter for letter in text)


def _escape(character: str) -> str:
    return _ESCAPES.get(character) or character.encode("unicode_escape").decode()


def print_line(text: str) -> None:
    """Print one line of text."""
    sys.stdout.write(plain(text) + "\n")


def console() -> Console:
    """Return a console on standard output; wide where no terminal limits it."""
    from rich.console import Console as RichConsole  # noqa: PLC0415 - services start without rich

    return RichConsole(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else PLAIN_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> Table:
    """Return a table; columns whose heading ends in ">" are aligned to the right. Cells are made `plain`."""
    from rich import box  # noqa: PLC0415 - as above
    from rich.cells import cell_len  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415

    made = RichTable(
        box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False, collapse_padding=True
    )
    cells = [[plain(cell) for cell in row] for row in rows]
    for index, column in enumerate(columns):
        heading = column.removesuffix(">")
        folded = heading in _FOLDED
        width = max([cell_len(heading), *(cell_len(row[index]) for row in cells)])
        made.add_column(
            heading,
            justify="right" if column.endswith(">") else "left",
            overflow="fold",
            no_wrap=not folded,
            min_width=min(width, _LEAST_FOLDED) if folded else width,
        )
    for row in cells:
        made.add_row(*row)
    return made


def least_width(table: Table) -> int:
    """Return the columns that a table needs so that no figure is cut."""
    return sum(column.min_width or 0 for column in table.columns) + _GAP * (len(table.columns) - 1)


def widened(shown: Console, tables: Iterable[Table]) -> Console:
    """Return the console, wide enough for the tables: a terminal that is narrower breaks lines but loses no digit."""
    shown.width = max([shown.width, *(least_width(table) for table in tables)])
    return shown


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """Print a table."""
    made = table(columns, rows, title=title)
    widened(console(), [made]).print(made)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns, without the facts that are empty."""
    shown = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print_line(f"{name:<{width}}  {value}")  # which escapes line ends, so that no value forges a fact


def as_json(message: Message) -> dict[str, Any]:
    """Return a message as JSON values by field name: numbers stay numbers, times are ISO 8601, bytes base64.

    Absent messages and unset optional fields are null.
    """
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            kind = field.message_type.fields_by_name["value"]
            return {str(key): _value(kind, value[key]) for key in sorted(value)}
        return [_value(field, item) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(field, value)


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return time_text(value)
        if field.message_type.full_name == "google.protobuf.Duration":
            return value.seconds + value.nanos / 1e9
        return as_json(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no name for it
    return value


def time_text(stamp: Any) -> str:
    """Return a Timestamp as ISO 8601 in UTC, with milliseconds; one outside the years 1 to 9999 in seconds."""
    try:
        moment = datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return _beyond(stamp)
    return f"{moment}.{stamp.nanos // 1_000_000:03d}Z"


def moment_text(message: Message, field: str) -> str:
    """Return a field of type Timestamp for people, or nothing when it is absent."""
    if not message.HasField(field):
        return ""
    stamp = getattr(message, field)
    try:
        return datetime.fromtimestamp(stamp.seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return _beyond(stamp)


def _beyond(stamp: Any) -> str:
    return f"{stamp.seconds} s since 1970"


def count_text(number: int, noun: str) -> str:
    """Return a number of things, such as `1 node` or `2 nodes`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size_text(size: float) -> str:
    """Return a number of bytes for people."""
    unit = 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size /= _STEP
        unit += 1
    return f"{size:.0f} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def seconds_text(seconds: float) -> str:
    """Return a duration for people, with three significant digits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def digest_text(digest: str) -> str:
    """Return the beginning of a digest."""
    return digest.removeprefix("sha256:")[:12]


def actor_text(actor: Any) -> str:
    """Return who did something; a mark says that nobody proved it."""
    if not actor.id:
        return ""
    name = actor.id if actor.authenticated else f"{actor.id} (unproved)"
    return f"{name} for {actor.on_behalf_of}" if actor.on_behalf_of else name
