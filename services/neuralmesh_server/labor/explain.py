"""Says why the result of an action is not in the cache: what differs from the nearest action whose result is."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from neuralmesh_server.canonical import Fact


@dataclass(frozen=True, slots=True)
class CachedAction:
    """An action whose result is in the cache.

    Attributes:
        digest: Its digest.
        recipe: Its recipe, as `Recipe.fact` gives it.
        input_digest: Digest of its rows' content.
        rows: Number of its rows.
    """

    digest: str
    recipe: Fact
    input_digest: str
    rows: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that differs.

    Attributes:
        field: Its path, such as `versions[0].digest`; `input` and `rows` for those of the action.
        cached: What it is in the cache; empty where it is not there.
        wanted: What it is here; likewise.
    """

    field: str
    cached: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Miss:
    """Why a result is not in the cache.

    Attributes:
        nearest: The action that differs least; None where none has the same input or the same versions.
        differences: What differs from it, in byte order of the fields.
    """

    nearest: CachedAction | None
    differences: tuple[Difference, ...] = ()


class Explainer:
    """Explains the misses of one recipe.

    Args:
        recipe: The recipe whose actions are missing, as `Recipe.fact` gives it.
        cached: Actions to look among. Of those with other inputs, only such with the recipe's versions matter.
    """

    def __init__(self, recipe: Fact, cached: Iterable[CachedAction]) -> None:
        self._recipe_differences: dict[bytes, tuple[Difference, ...]] = {}
        self._of_input: defaultdict[str, list[tuple[bytes, CachedAction]]] = defaultdict(list)
        # Of actions with another input, the first in order of the digests stands for all of its recipe and rows.
        self._of_versions: dict[tuple[bytes, int], CachedAction] = {}
        versions = _versions(recipe)
        for action in cached:
            key = canonical.encode(action.recipe)
            if key not in self._recipe_differences:
                self._recipe_differences[key] = differences(action.recipe, recipe)
            self._of_input[action.input_digest].append((key, action))
            if _versions(action.recipe) == versions:
                first = self._of_versions.setdefault((key, action.rows), action)
                if action.digest < first.digest:
                    self._of_versions[key, action.rows] = action

    def explain(self, input_digest: str, rows: int) -> Miss:
        """Return why the action of an input is not in the cache.

        The nearest action is the one with the fewest differences; where several have as few, one with the same input,
        and then the first in order of the digests.
        """
        found = [
            ((len(apart), action.input_digest != input_digest, action.digest), action, apart)
            for key, action in self._candidates(input_digest)
            for apart in (self._apart(key, action, input_digest, rows),)
        ]
        if not found:
            return Miss(None)
        _, action, apart = min(found, key=lambda entry: entry[0])
        return Miss(action, apart)

    def _candidates(self, input_digest: str) -> Iterator[tuple[bytes, CachedAction]]:
        yield from self._of_input.get(input_digest, ())
        yield from ((key, action) for (key, _), action in self._of_versions.items())

    def _apart(self, key: bytes, action: CachedAction, input_digest: str, rows: int) -> tuple[Difference, ...]:
        own = []
        if action.input_digest != input_digest:
            own.append(Difference("input", action.input_digest, input_digest))
        if action.rows != rows:
            own.append(Difference("rows", str(action.rows), str(rows)))
        return tuple(sorted((*self._recipe_differences[key], *own), key=lambda difference: difference.field))


def differences(cached: Fact, wanted: Fact) -> tuple[Difference, ...]:
    """Return what differs between two facts, in byte order of the fields; lists without objects are compared whole."""
    left, right = dict(_leaves("", cached)), dict(_leaves("", wanted))
    return tuple(
        Difference(field, left.get(field, ""), right.get(field, ""))
        for field in sorted(left.keys() | right.keys())
        if left.get(field) != right.get(field)
    )


def _versions(recipe: Fact) -> list[Any]:
    said: Mapping[str, Any] = recipe if isinstance(recipe, dict) else {}
    return [version["digest"] for version in said.get("versions", [])]


def _leaves(path: str, fact: Fact) -> Iterator[tuple[str, str]]:
    if isinstance(fact, dict):
        for key, value in fact.items():
            yield from _leaves(f"{path}.{key}" if path else key, value)
    elif isinstance(fact, list) and any(isinstance(item, dict) for item in fact):
        for index, item in enumerate(fact):
            yield from _leaves(f"{path}[{index}]", item)
    else:
        yield path, fact if isinstance(fact, str) else json.dumps(fact, separators=(",", ":"), ensure_ascii=False)
