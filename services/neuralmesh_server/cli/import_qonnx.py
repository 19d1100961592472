"""`neuralmesh import-qonnx`: a trained binary network in QONNX becomes a file that `push` takes."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer evaluates it
from typing import TYPE_CHECKING, Annotated

import typer

from neuralmesh_server.cli import exit_codes, rendering
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it

if TYPE_CHECKING:
    from neuralmesh_server.qonnx.importer import Imported, Layer


def import_qonnx(
    model: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A model in QONNX.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The network; FILE with the suffix .safetensors if absent."),
    ] = None,
    inexact: Annotated[  # noqa: FBT002 - a switch of the command line
        bool,
        typer.Option("--inexact", help="Take sums in float64 where the model's own depend on the order of additions."),
    ] = False,
    json: Json = False,  # noqa: FBT002 - as above
) -> None:
    """Make a packed binary network of a QONNX model: the same labels and scores, or an error that names the node."""
    try:
        from neuralmesh_server.qonnx.importer import import_network  # noqa: PLC0415 - needs an extra, and is slow
    except ModuleNotFoundError as error:
        raise exit_codes.CommandError(
            f"this command needs {error.name}: pip install 'neuralmesh[qonnx]'", "", exit_codes.FAILED
        ) from error
    from liam_core import save_binary_network  # noqa: PLC0415 - starts the kernel

    imported = import_network(model, inexact=inexact)
    target = model.with_suffix(".safetensors") if out is None else out
    save_binary_network(target, imported.definition)
    if json:
        rendering.print_json(_document(imported, target))
        return
    names = ["input", *(f"hidden {index}" for index in range(len(imported.definition.hidden))), "head"]
    rendering.print_table(
        ("layer", "in>", "out>", "inverted>", "constant>", "node", "operator"),
        (
            (name, *(f"{number:,}" for number in _numbers(layer)), layer.node, layer.operator)
            for name, layer in zip(names, imported.layers, strict=True)
        ),
    )
    size = rendering.size_text(target.stat().st_size)
    rendering.print_line(f"{target}: {size}; scores by {'a table' if imported.head == 'table' else 'scale and bias'}")
    rendering.print_line(f"neuralmesh push MODEL {target}")


def _numbers(layer: Layer) -> tuple[int, ...]:
    return layer.inputs, layer.outputs, layer.inverted, layer.constant


def _document(imported: Imported, target: Path) -> dict[str, object]:
    return {
        "file": str(target),
        "size_bytes": target.stat().st_size,
        "features": imported.definition.features,
        "classes": imported.definition.classes,
        "head": imported.head,
        "layers": [
            {
                "node": layer.node,
                "operator": layer.operator,
                **dict(zip(("inputs", "outputs", "inverted", "constant"), _numbers(layer), strict=True)),
            }
            for layer in imported.layers
        ],
    }
