"""The file profile `liam.signal_transform`, version 1: a chain of steps, and the tensors that they need.

Any safetensors reader can open such a file. Packed matrices are U64 tensors (rows, words), least significant bit
first, with zero bits past the row's width; thresholds and factors are F32. `__metadata__` holds exactly

    format          "liam.signal_transform"
    format_version  "1"
    bitorder        "little"
    bit_one         "+1"
    transform       a JSON object: the input, the steps in order, and the output that follows from them

Files are data: they are parsed, checked rule by rule, and never executed: a step is one of those in `steps`. Unknown
versions, steps, keys and tensors are refused.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from liam_core import storage
from liam_core.bits import words_for
from liam_core.container import Container, serialise
from liam_core.errors import ModelFormatError
from liam_core.fields import Fields, description, identity
from liam_core.steps import (
    BITS,
    FLOATS,
    INPUT_FORMS,
    MAX_SEED,
    NUMBERS,
    ORDERS,
    PACKED,
    BitRotate,
    Gf2Map,
    Rotation,
    Scale,
    Signal,
    Step,
    Threshold,
    TransformDefinition,
    Unpack,
    WalshHadamard,
    from_steps,
)

__all__ = ["FORMAT", "FORMAT_VERSION", "read_signal_transform", "save_signal_transform", "write_signal_transform"]

FORMAT: Final = "liam.signal_transform"
FORMAT_VERSION: Final = "1"
INPUT_NAME: Final = "input"
OUTPUT_NAME: Final = "output"

_FIXED: Final = identity(FORMAT, FORMAT_VERSION)


def write_signal_transform(
    path: str | os.PathLike[str], *, width: int, steps: Sequence[Step], input_form: str = FLOATS
) -> None:
    """Write a chain to `path`. The same arguments give the same bytes; the file appears complete or not at all.

    Args:
        path: Where to write.
        width: Numbers, or bits, of an input row.
        steps: What is done to each row, in order; see `liam_core.steps`.
        input_form: "float32"; "packed" for rows of ceil(width / 8) bytes, first bit least significant; or "uint8" for
            a byte 0 or 1 for each bit.

    Raises:
        ModelFormatError: a step does not take what is before it, or has a wrong shape, type or value.
        OSError: the file cannot be written.
    """
    save_signal_transform(path, from_steps(input_form=input_form, width=width, steps=steps))


def save_signal_transform(path: str | os.PathLike[str], definition: TransformDefinition) -> None:
    """Write a definition to `path`, complete or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    storage.save(path, _parts(definition))


def output_form(result: Signal) -> str:
    """Return the form in which the last step's signal leaves the chain: bits leave it packed."""
    return PACKED if result.form == BITS else result.form


def _parts(definition: TransformDefinition) -> Iterator[bytes | memoryview]:
    tensors: list[tuple[str, NDArray[Any]]] = []
    steps = [_step_json(f"steps.{index}", step, tensors) for index, step in enumerate(definition.steps)]
    result = definition.result
    transform = {
        "input": {"name": INPUT_NAME, "form": definition.input_form, "width": definition.width},
        "steps": steps,
        "output": {"name": OUTPUT_NAME, "form": output_form(result), "width": result.width},
    }
    return serialise({**_FIXED, "transform": json.dumps(transform, separators=(",", ":"))}, tensors)


def _step_json(place: str, step: Step, tensors: list[tuple[str, NDArray[Any]]]) -> dict[str, object]:
    said: dict[str, object] = {"step": step.NAME}
    if isinstance(step, Gf2Map):
        said["outputs"] = len(step.matrix)
    for field in dataclasses.fields(step):
        value = getattr(step, field.name)
        if isinstance(value, np.ndarray):
            tensors.append((f"{place}.{field.name}", value))
            value = f"{place}.{field.name}"
        if value is not None:
            said[field.name] = value
    return said


def read_signal_transform(path: str | os.PathLike[str]) -> TransformDefinition:
    """Return the chain in a file, with arrays that view the memory-mapped file; see `storage.read`.

    Raises:
        ModelFormatError: the file breaks a rule; the message names it.
        OSError: the file cannot be read.
    """
    return storage.read(path, _definition)


def _definition(container: Container) -> TransformDefinition:
    transform = description(container, _FIXED, "transform").exactly("input", "steps", "output")
    source = transform.child("input").exactly("name", "form", "width")
    source.constant("name", INPUT_NAME)
    form, width = source.choice("form", *INPUT_FORMS), source.size("width")
    steps: list[Step] = []
    signal = Signal(FLOATS if form == FLOATS else BITS, width)
    for index, fields in enumerate(transform.children("steps")):
        steps.append(_read_step(fields, signal))
        signal = steps[-1].after(f"steps[{index}]", signal)  # tells how wide the next step's tensors are
    transform.all_used()
    definition = TransformDefinition(form, width, tuple(steps))
    target = transform.child("output").exactly("name", "form", "width")
    target.constant("name", OUTPUT_NAME)
    target.constant("form", output_form(definition.result))
    if target.size("width") != definition.result.width:
        raise ModelFormatError(f"transform.output.width: the steps give {definition.result}")
    return definition


def _read_step(fields: Fields, before: Signal) -> Step:
    if "step" not in fields:
        raise ModelFormatError(f"{fields.place}: want the key step")
    return _READERS[fields.choice("step", *_READERS)](fields, before.width)


def _rotation(fields: Fields, width: int) -> Step:
    del width
    return Rotation(fields.exactly("step", "seed").integer("seed", 0, MAX_SEED))


def _walsh_hadamard(fields: Fields, width: int) -> Step:
    del width
    return WalshHadamard(fields.exactly("step", "order").choice("order", *ORDERS))


def _scale(fields: Fields, width: int) -> Step:
    return Scale(fields.exactly("step", "factors").tensor("factors", np.float32, width))


def _threshold(fields: Fields, width: int) -> Step:
    fields.exactly("step", optional=("thresholds",))
    return Threshold(fields.tensor("thresholds", np.float32, width) if "thresholds" in fields else None)


def _bit_rotate(fields: Fields, width: int) -> Step:
    return BitRotate(fields.exactly("step", "shift").integer("shift", 1 - width, width - 1))


def _gf2_map(fields: Fields, width: int) -> Step:
    outputs = fields.exactly("step", "outputs", "matrix").size("outputs")
    return Gf2Map(fields.tensor("matrix", np.uint64, outputs, words_for(width)))


def _unpack(fields: Fields, width: int) -> Step:
    del width
    return Unpack(fields.exactly("step", "to").choice("to", *NUMBERS))


_READERS: Final[dict[str, Callable[[Fields, int], Step]]] = {
    Rotation.NAME: _rotation,
    WalshHadamard.NAME: _walsh_hadamard,
    Scale.NAME: _scale,
    Threshold.NAME: _threshold,
    BitRotate.NAME: _bit_rotate,
    Gf2Map.NAME: _gf2_map,
    Unpack.NAME: _unpack,
}
