"""Why a result is not in the cache: which action is nearest, and what differs from it."""

from dataclasses import replace

import pytest

from neuralmesh_server.labor import plan
from neuralmesh_server.labor.explain import CachedAction, Difference, Explainer, differences
from neuralmesh_server.labor.plan import Columns, Numerics, Recipe, VersionPin

PIN = VersionPin("digits", 7, "liam", "sha256:" + "a" * 64, (), Numerics("liam/1", plan.EXACT))
RECIPE = Recipe(plan.INFER, (PIN,), Columns((("x", ("p",)),)), ("scores",), plan.PARQUET, "pyarrow 1", plan.FAIL, 0)
OTHER = replace(PIN, digest="sha256:" + "b" * 64)


def action(digest: str, recipe: Recipe = RECIPE, input_digest: str = "blake3:1", rows: int = 10) -> CachedAction:
    """Return an action that is in the cache."""
    return CachedAction(digest, recipe.fact(), input_digest, rows)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (RECIPE, []),
        (replace(RECIPE, micro_batch=64), [("micro_batch", "0", "64")]),
        (
            replace(RECIPE, format=plan.ARROW, bad_rows=plan.SKIP),
            [("bad_rows", "fail", "skip"), ("format", "parquet", "arrow")],
        ),
        (replace(RECIPE, versions=(OTHER,)), [("versions[0].digest", PIN.digest, OTHER.digest)]),
        (replace(RECIPE, outputs=()), [("outputs", '["scores"]', "[]")]),
        (
            replace(RECIPE, columns=Columns((("x", ("p", "ü")),), "y")),
            [("columns.inputs", '[["x",["p"]]]', '[["x",["p","ü"]]]'), ("columns.label", "", "y")],
        ),
        (
            replace(RECIPE, kind=plan.COMPARE, versions=(PIN, OTHER)),
            [
                ("kind", "infer", "compare"),
                ("versions[1].digest", "", OTHER.digest),
                ("versions[1].kind", "", "liam"),
                ("versions[1].numerics", "", "liam/1"),
            ],
        ),
    ],
)
def test_what_differs_is_named_by_its_path(recipe: Recipe, expected: list[tuple[str, str, str]]) -> None:
    """Fields come in byte order, with what is in the cache and what is wanted."""
    assert differences(RECIPE.fact(), recipe.fact()) == tuple(Difference(*entry) for entry in expected)


def test_the_nearest_action_has_the_fewest_differences() -> None:
    """An action of another version over the same input is nearer than one that differs in two facts."""
    far = action("sha256:1", replace(RECIPE, format=plan.ARROW, micro_batch=64))
    near = action("sha256:2", replace(RECIPE, versions=(OTHER,)))
    miss = Explainer(RECIPE.fact(), [far, near]).explain("blake3:1", 10)
    assert miss.nearest == near
    assert [difference.field for difference in miss.differences] == ["versions[0].digest"]


def test_of_as_near_ones_the_same_input_and_then_the_order_of_digests_decides() -> None:
    """The answer depends neither on the order in which actions are found nor on how many there are."""
    same_input = action("sha256:9", replace(RECIPE, micro_batch=64))
    changed = [action(f"sha256:{n}", input_digest=f"blake3:{n}") for n in (5, 4, 6)]
    for found in ([same_input, *changed], [*changed, same_input]):
        assert Explainer(RECIPE.fact(), found).explain("blake3:1", 10).nearest == same_input
    miss = Explainer(RECIPE.fact(), changed).explain("blake3:1", 10)
    assert miss.nearest == changed[1]
    assert miss.differences == (Difference("input", "blake3:4", "blake3:1"),)


def test_shards_of_another_length_differ_in_input_and_rows() -> None:
    """That is what another number of rows per shard looks like."""
    miss = Explainer(RECIPE.fact(), [action("sha256:1", rows=20)]).explain("blake3:7", 10)
    assert miss.differences == (Difference("input", "blake3:1", "blake3:7"), Difference("rows", "20", "10"))


def test_what_shares_neither_input_nor_versions_explains_nothing() -> None:
    """A job over other data with another version is not near."""
    stranger = action("sha256:1", replace(RECIPE, versions=(OTHER,)), "blake3:2")
    miss = Explainer(RECIPE.fact(), [stranger]).explain("blake3:1", 10)
    assert miss.nearest is None
    assert miss.differences == ()
    assert Explainer(RECIPE.fact(), []).explain("blake3:1", 10).nearest is None
