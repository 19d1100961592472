"""`neuralmesh predict`: inputs from the command line or from files, outputs as a table or JSON."""

from __future__ import annotations

import json as json_text
import time
import zipfile
from pathlib import Path  # noqa: TC003 - typer evaluates it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import reference, rendering
from neuralmesh_server.cli.connection import connected, existing_file
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.names import check_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from neuralmesh import Client, Prediction
    from neuralmesh.prediction import Parameter

_SHOWN_VALUES = 12
_LOADING_SECONDS = 10.0
_SHOWN_PARAMETERS = frozenset({"digest", "node", "prediction_id"})
"""Parameters of an answer that have a line of their own."""


@connected
def predict(
    client: Client,
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    inputs: Annotated[
        list[str],
        typer.Option("--input", metavar="NAME=VALUE", help="JSON, @file.json or @file.npy; one for each input."),
    ],
    version: Annotated[str, typer.Option(metavar="VERSION", help="Number or alias; else production.")] = "",
    outputs: Annotated[list[str] | None, typer.Option("--outputs", metavar="NAME", help="Only this output.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter: a number, true, false, or text.")
    ] = None,
    request_id: Annotated[str, typer.Option("--id", metavar="ID", help="The request's own id; comes back.")] = "",
    receipt: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the receipt there: request, answer, what made it.")
    ] = None,
    json: Json = False,
) -> None:
    """Run a version and print its outputs, and which version answered under which prediction id."""
    from neuralmesh.prediction import build_request  # noqa: PLC0415 - imports grpc

    check_model(model)
    if version:
        reference.check_which(version)
    given = split_inputs(inputs)
    metadata = loaded_metadata(client, model, version)
    specs = {spec.name: (spec.datatype, list(spec.shape)) for spec in metadata.inputs}
    arrays = {name: read_input(name, text, specs) for name, text in given.items()}
    request = build_request(
        model,
        arrays,
        version=version,
        outputs=outputs or (),
        request_id=request_id,
        parameters=read_parameters(parameter or ()),
    )
    prediction = infer(client, request, receipt)
    if json:
        rendering.print_json(prediction_json(prediction))
        return
    rendering.print_table(
        ("output", "type", "shape", "values"),
        (
            (name, array.dtype.name, str(list(array.shape)), values_text(array))
            for name, array in prediction.outputs.items()
        ),
    )
    rendering.print_facts(
        (
            ("version", f"{prediction.model}@{prediction.version}"),
            ("digest", prediction.digest),
            ("node", prediction.node),
            ("prediction", prediction.prediction_id),
            ("id", prediction.request_id),
            *((key, str(value)) for key, value in prediction.parameters.items() if key not in _SHOWN_PARAMETERS),
        )
    )


def infer(client: Client, request: Any, receipt: Path | None) -> Prediction:
    """Run a request; writes the receipt where one is asked for."""
    from neuralmesh import oip, prediction  # noqa: PLC0415 - imports grpc

    if receipt is None:
        return prediction.read_response(client.inference.model_infer(request))
    recorded = client.infer_with_receipt(request)
    receipt.write_bytes(recorded.SerializeToString())
    return prediction.read_response(oip.ModelInferResponse.FromString(recorded.response))


def loaded_metadata(client: Client, model: str, version: str) -> Any:
    """Return a version's metadata, waiting while the node still loads it, as right after a push."""
    from neuralmesh.exceptions import UnavailableError  # noqa: PLC0415 - imports grpc

    deadline = time.monotonic() + _LOADING_SECONDS
    while True:
        try:
            return client.inference.model_metadata(model, version)
        except UnavailableError as error:
            if error.metadata.get("state") != "LOADING" or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def split_inputs(items: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE items as a mapping.

    Raises:
        InvalidArgumentError: An item has no name or a name stands twice.
    """
    given: dict[str, str] = {}
    for item in items:
        name, separator, text = item.partition("=")
        if not separator or not name or name in given:
            raise _invalid(name or item, "write --input NAME=VALUE, once for each input")
        given[name] = text
    return given


def read_parameters(items: Sequence[str]) -> dict[str, Parameter]:
    """Return NAME=VALUE items as typed values: a JSON number, true, false or string as such, other text as it is.

    Raises:
        InvalidArgumentError: An item has no name or a name stands twice.
    """
    given: dict[str, Parameter] = {}
    for item in items:
        name, separator, text = item.partition("=")
        if not separator or not name or name in given:
            raise InvalidArgumentError(
                "PARAMETER_INVALID",
                f"parameter {name or item!r}: write --parameter NAME=VALUE, once for each",
                parameter=name or item,
            )
        try:
            value = json_text.loads(text, parse_constant=str)
        except (ValueError, RecursionError):
            value = text
        given[name] = value if isinstance(value, bool | int | float | str) else text
    return given


def read_input(name: str, text: str, specs: dict[str, tuple[str, list[int]]]) -> NDArray[Any]:
    """Return the array of an input.

    A .npy file is sent as it is. JSON takes the datatype of the signature; where it lacks the leading dimension of any
    length, as a single row does, that dimension is added.

    Raises:
        InvalidArgumentError: The value cannot be read; the message names the input.
        SettingsError: There is no such file.
    """
    import numpy as np  # noqa: PLC0415 - only this command needs it

    if text.startswith("@") and text.endswith(".npy"):
        path = existing_file(text[1:], f"input {name!r}")
        try:
            with path.open("rb") as file:
                loaded: NDArray[Any] = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise _invalid(name, f"{path} is no array file: {error}") from error
        if not isinstance(loaded, np.ndarray):
            raise _invalid(name, f"{path} is no array file: it is an archive of arrays")
        return loaded
    value = _json_value(name, text)
    if name not in specs:
        raise _invalid(name, f"the model has no such input; it has {', '.join(specs)}")
    datatype, shape = specs[name]
    array = json_array(name, value, datatype)
    if shape and shape[0] == -1 and array.ndim == len(shape) - 1:
        array = array[np.newaxis]
    return array


def _json_value(name: str, text: str) -> Any:
    """Return the JSON document in a text, or in the file that `@` names."""
    if text.startswith("@"):
        path = existing_file(text[1:], f"input {name!r}")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise _invalid(name, f"{path} is no JSON file but binary; arrays are read from .npy files") from error
    try:
        return json_text.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(name, f"no JSON: {error}") from error


def json_array(name: str, value: object, datatype: str) -> NDArray[Any]:
    """Return a JSON value as an array of a datatype, without loss of range or kind.

    Raises:
        InvalidArgumentError: A value does not fit the datatype, or lists have different lengths.
    """
    import numpy as np  # noqa: PLC0415 - as above

    from neuralmesh.tensors import DTYPES  # noqa: PLC0415

    if datatype == "BF16":
        raise _invalid(name, "BF16 has no JSON form")
    try:
        plain = np.array(value, dtype=object if datatype == "BYTES" else None)
        if datatype == "BYTES":
            return plain
        dtype = DTYPES[datatype]
        allowed = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]
        if plain.size and plain.dtype.kind not in allowed:
            raise _invalid(name, f"the values are {plain.dtype.name} and do not fit {datatype}")
        return np.array(value, dtype=dtype)
    except (ValueError, OverflowError, TypeError) as error:
        raise _invalid(name, f"the values do not fit {datatype}: {error}") from error


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as JSON values."""
    return {
        "model": prediction.model,
        "version": prediction.version,
        "digest": prediction.digest,
        "node": prediction.node,
        "prediction_id": prediction.prediction_id,
        "id": prediction.request_id,
        "parameters": prediction.parameters,
        "outputs": {
            name: {"type": array.dtype.name, "shape": list(array.shape), "data": _plain(array.tolist())}
            for name, array in prediction.outputs.items()
        },
    }


def values_text(array: NDArray[Any]) -> str:
    """Return the first values of an array for people."""
    values = array.reshape(-1)[:_SHOWN_VALUES].tolist()
    shown = ", ".join(f"{value:.6g}" if isinstance(value, float) else str(_plain(value)) for value in values)
    return shown + (", ..." if array.size > _SHOWN_VALUES else "")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _invalid(name: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError("INPUT_INVALID", f"input {name!r}: {why}", input=name)
