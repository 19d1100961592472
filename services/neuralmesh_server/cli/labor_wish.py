"""The flags that say what a job is to do: the same for `run`, `plan` and `explain-miss`.

`wished` gives a command these flags instead of the parameter `spec`, and hands it the contract's JobSpec.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from neuralmesh_server.cli import quantities
from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT = ("client", "options")
"""Parameters that another decorator fills in; their types are imported only when the command runs."""

_FLAGS: dict[str, tuple[Any, object]] = {
    "which": (
        Annotated[
            str, typer.Argument(metavar="MODEL[@ALIAS|@VERSION]", help="The version; the alias production by default.")
        ],
        inspect.Parameter.empty,
    ),
    "data": (
        Annotated[
            str,
            typer.Option(metavar="PATH", help="A file, a folder or an s3:// address: .npy .npz .parquet .arrow .csv."),
        ],
        inspect.Parameter.empty,
    ),
    "job": (Annotated[str, typer.Option(metavar="infer|evaluate|compare", help="What to do with each row.")], "infer"),
    "baseline": (
        Annotated[str, typer.Option(metavar="MODEL@VERSION", help="The version that a comparison compares with.")],
        "",
    ),
    "label": (Annotated[str, typer.Option(metavar="COLUMN", help="Column of the true labels.")], ""),
    "id_column": (Annotated[str, typer.Option("--id", metavar="COLUMN", help="Column to tell rows by.")], ""),
    "inputs": (
        Annotated[
            list[str] | None,
            typer.Option("--input", metavar="NAME=COLUMN,...", help="Columns of an input, where they are not plain."),
        ],
        None,
    ),
    "rows_per_shard": (
        Annotated[int, typer.Option(metavar="N", min=0, help="Rows of a shard; 0 leaves it to their width.")],
        0,
    ),
    "outputs": (
        Annotated[
            list[str] | None, typer.Option("--output", metavar="NAME", help="Keep only this output; repeatable.")
        ],
        None,
    ),
    "format": (
        Annotated[str, typer.Option(metavar="parquet|arrow|safetensors", help="Files of the results.")],
        "parquet",
    ),
    "bad_rows": (
        Annotated[str, typer.Option(metavar="fail|skip", help="What happens to rows that the version cannot take.")],
        "fail",
    ),
    "micro_batch": (
        Annotated[int, typer.Option(metavar="N", min=0, help="Rows of a batch where answers depend on it; 0 for 64.")],
        0,
    ),
    "audit": (
        Annotated[str, typer.Option(metavar="SHARE", help="Share of the shards that a second worker runs too, as 1%.")],
        "0%",
    ),
    "priority": (Annotated[int, typer.Option(metavar="N", help="Jobs of a higher one get workers first.")], 0),
    "no_cache": (Annotated[bool, typer.Option("--no-cache", help="Look up no result of earlier jobs.")], False),
}


def wished(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the flags of a wish instead of the parameter `spec`."""

    @functools.wraps(command)
    def wrapper(**arguments: Any) -> None:
        spec = _spec({name: arguments.pop(name) for name in _FLAGS})
        command(spec=spec, **arguments)

    kept = {name: command.__annotations__.pop(name) for name in _KEPT if name in command.__annotations__}
    command.__annotations__.pop("spec", None)
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=kept.get(parameter.name, hints.get(parameter.name)))
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "spec"
    ]
    first = [parameter for parameter in own if parameter.name in kept]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _FLAGS.items()
    ]
    rest = [parameter for parameter in own if parameter.name not in kept]
    described: Any = wrapper
    described.__signature__ = inspect.Signature([*first, *added, *rest])
    described.__annotations__ = {**kept, **hints, **{name: annotation for name, (annotation, _) in _FLAGS.items()}}
    del described.__wrapped__
    return wrapper


def _spec(flags: dict[str, Any]) -> Any:
    from neuralmesh.labor_spec import job_spec  # noqa: PLC0415 - commands import messages when they run

    return job_spec(
        flags["which"],
        flags["data"],
        job=flags["job"],
        baseline=flags["baseline"],
        inputs=dict(map(_input, flags["inputs"] or ())),
        label=flags["label"],
        id_column=flags["id_column"],
        rows_per_shard=flags["rows_per_shard"],
        outputs=tuple(flags["outputs"] or ()),
        format=flags["format"],
        bad_rows=flags["bad_rows"],
        micro_batch=flags["micro_batch"],
        audit=quantities.parts_per_million("--audit", flags["audit"]) / quantities.MILLION,
        priority=flags["priority"],
        skip_cache=flags["no_cache"],
    )


def _input(text: str) -> tuple[str, list[str]]:
    name, separator, columns = text.partition("=")
    if not (name and separator and columns):
        raise InvalidArgumentError("FIELD_INVALID", f"--input {text!a} is not NAME=COLUMN,...", field="input")
    return name, columns.split(",")
