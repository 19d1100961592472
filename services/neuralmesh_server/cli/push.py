"""`neuralmesh push`: files become the next version of a model."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer evaluates it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import model_format, rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.names import DEFAULT_ALIAS, check_alias, check_kind, check_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from neuralmesh import Client


@connected
def push(
    client: Client,
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model; created where it is missing.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", exists=True, help="A file, or a folder with all its files.")],
    kind: Annotated[str, typer.Option(help="onnx, liam.binary_network or any other; auto finds out.")] = "auto",
    description: Annotated[str, typer.Option(metavar="TEXT", help="Description of the version.")] = "",
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A fact of your own; may be repeated.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the history.")] = "",
    promote: Annotated[bool, typer.Option("--promote", help="Point the alias at the version.")] = False,
    alias: Annotated[str, typer.Option(metavar="ALIAS", help="Alias for --promote.")] = DEFAULT_ALIAS,
    label_output: Annotated[
        str | None, typer.Option(metavar="NAME", help="Output with the labels; `label` where there is one.")
    ] = None,
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Do not open the files.")] = False,
    json: Json = False,
) -> None:
    """Make files the next version of a model; the same content again gives the version that holds it."""
    from neuralmesh._artifact import folder_files  # noqa: PLC0415 - after the transport is configured

    check_model(model)
    check_alias(alias)
    facts = parse_metadata(metadata or [])
    if kind != model_format.AUTO:
        check_kind(kind)
    elif unchecked:
        raise InvalidArgumentError("FIELD_INVALID", "--unchecked needs --kind", field="kind")
    found = model_format.ModelFormat(kind) if unchecked else model_format.inspect(folder_files(path), kind)
    with progress_bars() as progress:
        version = client.push(
            model,
            path,
            kind=found.kind,
            signature=_signature(found, label_output),
            description=description,
            metadata=facts,
            reason=reason,
            progress=progress,
        )
    if promote:
        client.promote(model, version.version, alias=alias, reason=reason)
    if json:
        rendering.print_json(rendering.as_json(version))
        return
    rendering.print_line(f"{version.name}: {version.kind}, {rendering.size_text(version.size_bytes)}, {version.digest}")
    if promote:
        rendering.print_line(f"models/{model}/aliases/{alias} -> {version.version}")


def parse_metadata(items: Sequence[str]) -> dict[str, str]:
    """Return KEY=VALUE items as a mapping.

    Raises:
        InvalidArgumentError: An item has no key or a key stands twice.
    """
    facts: dict[str, str] = {}
    for item in items:
        key, separator, value = item.partition("=")
        if not separator or not key or key in facts:
            raise InvalidArgumentError(
                "FIELD_INVALID", f"metadata {item!r} is not KEY=VALUE with a key of its own", field="metadata"
            )
        facts[key] = value
    return facts


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None] | None]:
    """Show a bar for each file that is sent, on standard error when it is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - services start without rich
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(rendering.plain(name), total=total)
            bars.update(tasks[name], completed=done)

        yield advance


def _signature(found: model_format.ModelFormat, wanted: str | None) -> Any:
    from neuralmesh.registry.v1 import resources_pb2 as pb  # noqa: PLC0415 - as above

    if not found.outputs:
        return None
    return pb.Signature(
        inputs=[_spec(*spec) for spec in found.inputs],
        outputs=[_spec(*spec) for spec in found.outputs],
        label_output=model_format.label_output(found, wanted),
    )


def _spec(name: str, datatype: str, shape: tuple[int, ...]) -> Any:
    from neuralmesh.registry.v1 import resources_pb2 as pb  # noqa: PLC0415 - as above

    return pb.TensorSpec(name=name, datatype=datatype, shape=shape)
