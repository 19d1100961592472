"""Selectors against a second reading of their contract."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.registry.mesh import selectors

KEYS = st.sampled_from(["site", "tier", "zone/a", "a.b-c_d", "k"])
VALUES = st.sampled_from(["", "oslo", "Edge-1", "0.5", "x_y"])
LABELS = st.dictionaries(KEYS, VALUES)
REQUIREMENTS = st.one_of(
    st.builds("{}={}".format, KEYS, VALUES),
    st.builds("{}!={}".format, KEYS, VALUES),
    KEYS,
    st.builds("!{}".format, KEYS),
)
LISTS = st.lists(REQUIREMENTS, min_size=1, max_size=16)


def holds(requirement: str, labels: dict[str, str]) -> bool:
    """Return whether labels meet a requirement, by what its text says."""
    if requirement.startswith("!"):
        return requirement[1:] not in labels
    if "!=" in requirement:
        key, value = requirement.split("!=")
        return key not in labels or labels[key] != value
    if "=" in requirement:
        key, value = requirement.split("=")
        return key in labels and labels[key] == value
    return requirement in labels


@given(LISTS, LABELS)
def test_a_selector_demands_all_its_requirements(requirements, labels):
    """Labels match when every requirement holds."""
    expected = all(holds(requirement, labels) for requirement in requirements)
    assert selectors.parse(",".join(requirements)).matches(labels) is expected


@given(LISTS, st.randoms(use_true_random=False))
def test_there_is_one_text_for_a_selector(requirements, random):
    """Order, repeats and spaces do not change the canonical text, which reads back as itself."""
    text = selectors.parse(",".join(requirements)).text
    other = [*requirements, *requirements[: 16 - len(requirements)]]
    random.shuffle(other)
    assert selectors.parse(" , ".join(other)).text == text
    assert selectors.parse(text).text == text
    assert text.split(",") == sorted(set(requirements))


@given(LISTS, LABELS, st.dictionaries(st.sampled_from(["other", "more"]), VALUES))
def test_only_the_keys_that_it_names_count(requirements, labels, further):
    """Labels that no requirement names change nothing."""
    selector = selectors.parse(",".join(requirements))
    reduced = {key: value for key, value in labels.items() if key in selector.keys}
    assert selector.matches(labels) is selector.matches(reduced) is selector.matches(reduced | further)


@given(LABELS)
def test_a_star_matches_every_node(labels):
    """`*` has no requirement, and is its own text."""
    assert selectors.parse(" * ").matches(labels)
    assert selectors.parse("*").text == "*"


@pytest.mark.parametrize(
    "requirement",
    [
        "",
        "=",
        "a=b=c",
        "a==b",
        "!a=b",
        "!!a",
        "A=b",
        "a=b c",
        "a=ø",
        "ä",
        "a,*",
        "*,a",
        "1a",
        "a" * 64,
        "a=" + "b" * 64,
    ],
)
def test_what_is_no_requirement_is_named(requirement):
    """The error has the field and the requirement that is none."""
    with pytest.raises(InvalidArgumentError) as caught:
        selectors.parse(f"tier=edge,{requirement}", "assignment.selector")
    assert (caught.value.reason, caught.value.metadata["field"]) == ("FIELD_INVALID", "assignment.selector")
    shown = ascii(next(part for part in requirement.split(",") if not re.fullmatch("a", part)))
    assert caught.value.metadata["requirement"] == shown
    assert shown in caught.value.message


def test_a_selector_has_at_most_sixteen_requirements():
    """Sixteen are taken, and one more is refused."""
    texts = [f"key{number}" for number in range(17)]
    assert len(selectors.parse(",".join(texts[:16])).requirements) == 16
    with pytest.raises(InvalidArgumentError, match="at most 16"):
        selectors.parse(",".join(texts))
