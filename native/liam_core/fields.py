"""The JSON object that describes a model in its file's metadata, read field by field, with its place for messages.

What is not asked for is refused: a reader that ignores a key or a tensor would compute something else than the
writer meant.
"""

from collections.abc import Mapping
from typing import Any, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from liam_core.container import Container, unique_keys_json
from liam_core.errors import ModelFormatError

__all__ = ["Fields", "description", "identity"]

MAX_SIZE: Final = 2**31 - 1
Text = TypeVar("Text", bound=str)


class Fields:
    """An object, and the tensors that its fields name.

    Attributes:
        place: Where the object stands.
        used: Names of the tensors that were asked for.
    """

    def __init__(self, place: str, value: object, tensors: dict[str, NDArray[Any]], used: set[str]) -> None:
        if not isinstance(value, dict):
            raise ModelFormatError(f"{place}: want a JSON object")
        self.place, self._value, self._tensors = place, value, tensors
        self.used = used

    def exactly(self, *keys: str, optional: tuple[str, ...] = ()) -> Self:
        """Refuse other keys than these, and a lack of one that is not optional."""
        if not set(keys) <= self._value.keys() <= {*keys, *optional}:
            more = f", and perhaps {', '.join(optional)}" if optional else ""
            raise ModelFormatError(f"{self.place}: want exactly the keys {', '.join(keys)}{more}")
        return self

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def keys(self) -> list[str]:
        """Return the keys that are there."""
        return list(self._value)

    def child(self, key: str) -> "Fields":
        """Return an object within this one."""
        return Fields(f"{self.place}.{key}", self._value[key], self._tensors, self.used)

    def children(self, key: str) -> list["Fields"]:
        """Return the objects of a list within this one."""
        values = self._value[key]
        if not isinstance(values, list):
            raise ModelFormatError(f"{self.place}.{key}: want a JSON list")
        places = (f"{self.place}.{key}[{index}]" for index in range(len(values)))
        return [Fields(place, value, self._tensors, self.used) for place, value in zip(places, values, strict=True)]

    def constant(self, key: str, wanted: str) -> None:
        """Refuse another text than this."""
        if self._value[key] != wanted:
            raise ModelFormatError(f"{self.place}.{key}: want {wanted!r}, got {self._value[key]!r}")

    def choice(self, key: str, *texts: Text) -> Text:
        """Return a text, which must be one of these."""
        value = self._value[key]
        for text in texts:
            if value == text:
                return text
        raise ModelFormatError(f"{self.place}.{key}: {_shown(value)} is none of {', '.join(texts)}")

    def text(self, key: str) -> str:
        """Return a text."""
        value = self._value[key]
        if not isinstance(value, str):
            raise ModelFormatError(f"{self.place}.{key}: want a string, got {_shown(value)}")
        return value

    def size(self, key: str) -> int:
        """Return an integer from 1 to MAX_SIZE."""
        return self.integer(key, 1, MAX_SIZE)

    def integer(self, key: str, low: int, high: int) -> int:
        """Return an integer within [low, high]."""
        value = self._value[key]
        if type(value) is not int or not low <= value <= high:
            raise ModelFormatError(f"{self.place}.{key}: want an integer from {low} to {high}")
        return value

    def tensor(self, key: str, dtype: type[np.generic], *shape: int) -> NDArray[Any]:
        """Return the tensor that a field names, which must have this type and shape and no other use."""
        name = self._value[key]
        if not isinstance(name, str) or name not in self._tensors:
            raise ModelFormatError(f"{self.place}.{key}: no tensor {name!r}")
        if name in self.used:
            raise ModelFormatError(f"{self.place}.{key}: tensor {name!r} has another use already")
        self.used.add(name)
        array = self._tensors[name]
        if array.dtype != dtype or array.shape != shape:
            wanted = f"{np.dtype(dtype).name} {shape}"
            raise ModelFormatError(f"tensor {name!r}: want {wanted}, got {array.dtype} {array.shape}")
        return array

    def all_used(self) -> None:
        """Refuse tensors that no field named."""
        unused = self._tensors.keys() - self.used
        if unused:
            raise ModelFormatError(f"{self.place}: does not name the tensors {', '.join(map(repr, sorted(unused)))}")


def identity(name: str, version: str) -> dict[str, str]:
    """Return the metadata that a file of a format has whatever its model is."""
    return {"format": name, "format_version": version, "bitorder": "little", "bit_one": "+1"}


def description(container: Container, fixed: Mapping[str, str], key: str) -> Fields:
    """Return the description of a file's model, whose metadata are these fixed ones and the description's JSON."""
    metadata = container.metadata
    for name, wanted in fixed.items():
        if metadata.get(name) != wanted:
            raise ModelFormatError(f"__metadata__.{name}: want {wanted!r}, got {metadata.get(name)!r}")
    if metadata.keys() != {*fixed, key}:
        raise ModelFormatError(f"__metadata__: want exactly the keys {', '.join(fixed)} and {key}")
    return Fields(key, unique_keys_json(key, metadata[key]), container.tensors, set())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 64 else text[:61] + "..."
