"""Wishes: every limit names its field."""

from dataclasses import replace

import pytest

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.labor import plan, spec
from neuralmesh_server.labor.plan import Columns
from neuralmesh_server.labor.spec import JobSpec

GOOD = JobSpec(plan.INFER, "digits@production", "/data")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": "digits/7"},
        {"kind": plan.EVALUATE, "columns": Columns((), "y")},
        {"kind": plan.COMPARE, "baseline": "digits/1"},
        {"format": plan.SAFETENSORS, "bad_rows": plan.SKIP, "outputs": ("a", "b"), "audit_ppm": 10**6, "priority": -5},
        {"columns": Columns((("x", ("a", "b")), ("z", ("a",))), "y", "y"), "data": "s3://bucket/prefix"},
        {"rows_per_shard": 2**31 - 1, "micro_batch": 65536},
    ],
)
def test_what_can_be_meant_passes(fields: dict[str, object]) -> None:
    """Nothing is said about it."""
    spec.check(replace(GOOD, **fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": ""}, "kind is ''; it has to be one of infer, evaluate, compare"),
        ({"format": "csv"}, "format is 'csv'; it has to be one of parquet, arrow, safetensors"),
        ({"bad_rows": "ignore"}, "bad_rows is 'ignore'"),
        ({"version": ""}, "version is missing"),
        ({"version": "digits"}, "version is 'digits'; it has to be model@alias or model/version"),
        ({"version": "digits/0"}, "version is 'digits/0'; '0' is no number of a version"),
        ({"version": "digits/9999999999"}, "'9999999999' is no number of a version"),
        ({"version": "digits/1/2"}, "'1/2' is no number of a version"),
        ({"baseline": "digits/1"}, "baseline is 'digits/1'; only a comparison has one"),
        ({"kind": plan.COMPARE}, "baseline is missing"),
        ({"data": ""}, "data is missing"),
        ({"data": "x" * 4097}, "data has 4097 bytes; at most 4096 are permitted"),
        ({"data": "\ud800"}, "data is not Unicode text"),
        ({"rows_per_shard": -1}, "rows_per_shard is -1; it has to be 0 to 2147483647"),
        ({"micro_batch": 65537}, "micro_batch is 65537"),
        ({"audit_ppm": 10**6 + 1}, "audit_ppm is 1000001"),
        ({"priority": 10**6 + 1}, "priority is 1000001"),
        ({"outputs": ("a", "a")}, "outputs names 'a' twice"),
        ({"outputs": ("",)}, "outputs has an empty name"),
        ({"outputs": ("x",) * 10_001}, "outputs has 10001 names"),
        ({"kind": plan.EVALUATE}, "columns.label is missing; an evaluation needs the true labels"),
        ({"columns": Columns((("x", ()),))}, "columns.inputs['x'] names no column"),
        ({"columns": Columns((("x", ("a",)), ("x", ("b",))))}, "columns.inputs names 'x' twice"),
        ({"columns": Columns((("", ("a",)),))}, "columns.inputs has an empty name"),
        ({"columns": Columns((("x", ("a",)),), "a")}, "columns.label is 'a', which is a column of an input"),
        ({"columns": Columns((("x", ("a",)),), "", "a")}, "columns.id is 'a', which is a column of an input"),
        ({"columns": Columns((), "y" * 1025)}, "columns.label has 1025 bytes"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_field(fields: dict[str, object], message: str) -> None:
    """The message begins with the field, as the contract calls it, and the metadata holds it."""
    with pytest.raises(InvalidArgumentError) as caught:
        spec.check(replace(GOOD, **fields))
    assert caught.value.reason == "FIELD_INVALID"
    assert message in caught.value.message
    assert caught.value.message.startswith(caught.value.metadata["field"])


@pytest.mark.parametrize("reference", ["Digits@production", "digits@Production", "digits@", "@production", "a..b/1"])
def test_names_have_their_own_rules(reference: str) -> None:
    """They are those of the registry."""
    with pytest.raises(InvalidArgumentError) as caught:
        spec.check(replace(GOOD, version=reference))
    assert caught.value.reason == "NAME_INVALID"
