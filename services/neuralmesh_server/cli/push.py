"""`neuralmesh push`: files become the next version of a model."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer evaluates it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import golden_set, model_format, rendering, upstream
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
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", exists=True, help="A file, or a folder with all its files.")
    ] = None,
    kind: Annotated[str, typer.Option(help="onnx, liam.binary_network, ..., or any other; auto finds out.")] = "auto",
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
    golden: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Examples (.npz) that travel with the version."),
    ] = None,
    upstream_url: Annotated[
        str | None,
        typer.Option("--upstream", metavar="URL", help="Instead of PATH, a server: grpc://, grpcs:// or mesh://."),
    ] = None,
    upstream_model: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the model there.")] = None,
    upstream_version: Annotated[str, typer.Option(metavar="VERSION", help="Its version there.")] = "",
    upstream_credentials: Annotated[
        str, typer.Option(metavar="NAME", help="Credentials in the nodes' environment; see docs/remote.md.")
    ] = "",
    upstream_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.001, help="Longest wait for an answer; 60.")
    ] = None,
    expects_digest: Annotated[
        str, typer.Option(metavar="DIGEST", help="Digest that a Neural Mesh upstream must prove.")
    ] = "",
    signature_of: Annotated[
        int | None, typer.Option(metavar="VERSION", help="Declare the signature of this version of the model.")
    ] = None,
    json: Json = False,
) -> None:
    """Make files, or a server that runs it, the next version of a model; the same content again gives that version."""
    from neuralmesh._artifact import folder_files  # noqa: PLC0415 - after the transport is configured

    check_model(model)
    check_alias(alias)
    facts = parse_metadata(metadata or [])
    files: dict[str, Any] = upstream.files(
        path,
        upstream_url,
        upstream_model,
        version=upstream_version,
        expects_digest=expects_digest,
        credentials=upstream_credentials,
        timeout=upstream_timeout,
    )
    examples = golden
    if path is not None:
        files = folder_files(path)
        examples = golden_set.taken(files, golden)
        found = _format(files, kind, unchecked=unchecked)
    else:
        found = model_format.ModelFormat(upstream.KIND)
    signature = _signature(found, label_output)
    if signature_of is not None:
        signature = _signature_of(client, model, signature_of, label_output)
    if examples is not None:
        golden_set.check(examples, signature)
        files[golden_set.FILE] = examples
    with progress_bars() as progress:
        version = client.push(
            model,
            files=files,
            kind=found.kind,
            signature=signature,
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


def _format(files: dict[str, Any], kind: str, *, unchecked: bool) -> model_format.ModelFormat:
    if kind != model_format.AUTO:
        check_kind(kind)
    elif unchecked:
        raise InvalidArgumentError("FIELD_INVALID", "--unchecked needs --kind", field="kind")
    return model_format.ModelFormat(kind) if unchecked else model_format.inspect(files, kind)


def _signature_of(client: Client, model: str, number: int, wanted: str | None) -> Any:
    version = client.registry.get_version(model, number)
    if not version.HasField("signature"):
        raise InvalidArgumentError(
            "FIELD_INVALID", f"version {number} of model {model!r} declares no signature", field="signature"
        )
    if wanted is not None:
        version.signature.label_output = wanted
    return version.signature


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
