"""Roles, rules and the file of tokens, without a server."""

import ast
import inspect
import json
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh import _service, oip
from neuralmesh.inference.v1 import node_service_pb2
from neuralmesh.metrics.v1 import metrics_service_pb2 as metrics
from neuralmesh_server.errors import PermissionDeniedError, UnauthenticatedError
from neuralmesh_server.inference import access as inference_access
from neuralmesh_server.labor import access as labor_access
from neuralmesh_server.metrics import access as metrics_access
from neuralmesh_server.registry import access as registry_access
from neuralmesh_server.runtime import tokens
from neuralmesh_server.runtime.access import (
    ADMIN,
    INCLUDED,
    NODE,
    PROMOTER,
    PUBLISHER,
    READER,
    Access,
    Grant,
    Principal,
    Rule,
    admit,
    check,
    model_of,
    token_digest,
)
from neuralmesh_server.runtime.refusals import Refusals
from neuralmesh_server.runtime.wire import text_field
from neuralmesh_server.settings import SettingsError

TABLES = {
    "registry": (_service.REGISTRY, registry_access.RULES),
    "mesh": (_service.MESH, registry_access.MESH_RULES),
    "metrics": (_service.METRICS, metrics_access.RULES),
    "labor": (_service.LABOR, labor_access.RULES),
    "labor_worker": (_service.LABOR_WORKER, labor_access.WORKER_RULES),
    "inference": (oip.SERVICE, inference_access.RULES),
    "node": (node_service_pb2.DESCRIPTOR.services_by_name["NodeService"], inference_access.NODE_RULES),
}


def who(*grants: Grant) -> Principal:
    return Principal("tester", grants)


@pytest.mark.parametrize("name", TABLES)
def test_every_rpc_has_a_rule_and_every_rule_an_rpc(name: str) -> None:
    """No RPC of a contract is without a declared rule, and no rule is about an RPC that is not there."""
    service, rules = TABLES[name]
    assert set(rules) == {method.name for method in service.methods}


@pytest.mark.parametrize("module", [registry_access, metrics_access, inference_access])
def test_no_rule_stands_twice(module: ModuleType) -> None:
    """No entry of a table is silently replaced by a later one, written out or made."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(node, ast.Dict):
            continue
        names: list[str] = []
        for key, value in zip(node.keys, node.values, strict=True):
            expression = ast.unparse(value if key is None else key)
            found = eval(expression, vars(module))  # noqa: S307 - our own source
            names += [found] if key is not None else list(found)
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", TABLES)
def test_fields_that_rules_name_exist(name: str) -> None:
    """The fields from which a rule reads the model are fields of the RPC's messages."""
    service, rules = TABLES[name]
    for method in service.methods:
        rule = rules[method.name]
        assert set(rule.roles) <= set(INCLUDED)
        for message, path in ((method.input_type, rule.model), (method.output_type, rule.answer)):
            for part in filter(None, path.split(".")):
                field = message.fields_by_name[part]
                message = field.message_type
            assert not path or field.type == descriptor_pb2.FieldDescriptorProto.TYPE_STRING
        if rule.listed is not None:
            assert rule.listed[1] in method.output_type.fields_by_name[rule.listed[0]].message_type.fields_by_name


def test_only_liveness_is_open() -> None:
    """Nothing but the two questions that probes ask can be called by strangers."""
    found = {name for _, rules in TABLES.values() for name, rule in rules.items() if rule.is_open}
    assert found == {"ServerLive", "ServerReady"}


@pytest.mark.parametrize(
    ("role", "permitted"),
    [
        (READER, {READER}),
        (PUBLISHER, {READER, PUBLISHER}),
        (PROMOTER, {READER, PROMOTER}),
        (NODE, {NODE}),
        (ADMIN, {READER, PUBLISHER, PROMOTER, NODE, ADMIN}),
    ],
)
def test_roles_include_others(role: str, permitted: set[str]) -> None:
    """A role permits its own calls and those of the roles below it, and no others."""
    principal = who(Grant(role, ("*",)))
    assert {other for other in INCLUDED if principal.may(other, "m")} == permitted


def test_patterns_hold_for_models_by_name() -> None:
    """A grant holds for matching names only, never for calls about all models, and case counts."""
    principal = who(Grant(PROMOTER, ("digits*", "iris")), Grant(READER, ("*",)))
    assert [principal.may(PROMOTER, model) for model in ("digits", "digits.2", "iris", "iris2", "Digits", "")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert principal.may(READER, "")


@pytest.mark.parametrize(
    ("rule", "model", "permitted"),
    [
        (Rule((READER,), model="name"), "digits", True),
        (Rule((READER,), model="name"), "other", False),
        (Rule((READER,), model="name"), "", False),
        (Rule((READER,)), "", False),
        (Rule((READER,), anywhere=True), "", True),
        (Rule((READER,), model="name", anywhere=True), "other", False),
        (Rule((READER,), answer="name"), "", True),
        (Rule((READER,), model="name", listed=("x", "y")), "", True),
        (Rule((READER,), model="name", listed=("x", "y")), "other", False),
        (Rule((NODE, READER), model="name"), "digits", True),
        (Rule((PUBLISHER,), anywhere=True), "", False),
    ],
)
def test_rules_decide_by_the_model_of_the_request(rule: Rule, model: str, permitted: bool) -> None:
    """A reader of `digits` is let in where the rule finds that model or asks for none, and nowhere else."""
    principal = who(Grant(READER, ("digits",)))
    if permitted:
        check(rule, principal, model)
        return
    with pytest.raises(PermissionDeniedError) as raised:
        check(rule, principal, model)
    assert raised.value.metadata == {"name": "tester", "role": " or ".join(rule.roles), "model": model}


def test_lists_are_cut_to_what_the_caller_may_read() -> None:
    """Elements of other models leave a list; whoever may read everything gets it whole."""
    rule = metrics_access.RULES["ListVersionMetrics"]

    def answer() -> metrics.ListVersionMetricsResponse:
        return metrics.ListVersionMetricsResponse(
            metrics=[metrics.VersionMetrics(model=model) for model in ("a", "b", "a")], next_page_token="t"
        )

    cut = admit(rule, who(Grant(READER, ("a",))), answer())
    assert ([item.model for item in cut.metrics], cut.next_page_token) == (["a", "a"], "t")
    assert admit(rule, who(Grant(READER, ("*",))), answer()) == answer()


@pytest.mark.parametrize(
    ("text", "model"),
    [("models/m", "m"), ("models/m/versions/1", "m"), ("m", "m"), ("", ""), ("models/", ""), ("models//x", "")],
)
def test_models_of_resource_names(text: str, model: str) -> None:
    """Plain names and resource names give the model that the service itself would take from them."""
    assert model_of(text) == model


FIELDS = st.lists(
    st.one_of(
        st.tuples(st.just(b"\x0a"), st.text(max_size=5).map(lambda text: text.encode())),
        st.tuples(st.just(b"\x12"), st.binary(max_size=200)),
        st.tuples(st.just(b"\x3a"), st.binary(max_size=200)),
    ),
    max_size=5,
)


def varint(number: int) -> bytes:
    data = b""
    while number >= 0x80:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])


@given(FIELDS)
def test_the_model_is_read_from_bytes_as_protobuf_reads_it(fields: list[tuple[bytes, bytes]]) -> None:
    """Wherever the quick reader gives an answer, it is what the message says, the last occurrence included."""
    data = b"".join(tag + varint(len(value)) + value for tag, value in fields)
    found = text_field(data, 1)
    models = [value.decode() for tag, value in fields if tag == b"\x0a"]
    assert found == (models[-1] if models else "")


@given(st.binary(max_size=60) | st.binary(max_size=20).map(lambda tail: b"\x0a\x03abc" + tail))
def test_arbitrary_bytes_never_give_another_model(data: bytes) -> None:
    """Bytes that protobuf reads give the same model or none; the quick reader raises nothing."""
    from google.protobuf.message import DecodeError

    found = text_field(data, 1)
    try:
        message = oip.ModelInferRequest.FromString(data)
    except DecodeError:
        return
    assert found in {None, message.model_name}


def entry(
    name: str = "ci",
    role: str = READER,
    *models: str,
    token: str | None = "nmt_x",  # noqa: S107 - nobody's
    expires: float | None = None,
):
    return tokens.make_entry(name, [Grant(role, models or ("*",))], token=token, expires=expires)


def test_the_file_keeps_digests_and_is_private(tmp_path: Path) -> None:
    """What is written reads back the same, holds no token, and is readable by its owner alone."""
    path = tmp_path / "tokens.json"
    token = tokens.new_token()
    entries = [entry("ci", PROMOTER, "digits*", token=token, expires=2e9), entry("inference", NODE, token=None)]
    tokens.write(path, entries)
    assert tokens.read(path) == entries
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert token.startswith("nmt_")
    assert len(token) == 47


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "entries": []}',
        '{"format": 1, "entries": [1]}',
        '{"format": 1, "entries": [{"name": "a", "grants": [{"role": "reader", "models": ["*"]}]}]}',
        '{"format": 1, "entries": [{"identity": "a", "sha256": "x", "grants": []}]}',
        '{"format": 1, "entries": [{"identity": "a", "grants": []}]}',
        '{"format": 1, "entries": [{"identity": "a", "grants": [{"role": "king", "models": ["*"]}]}]}',
        '{"format": 1, "entries": [{"identity": "a", "grants": [{"role": "reader", "models": []}]}]}',
        '{"format": 1, "entries": [{"identity": "a", "grants": [{"role": "reader", "models": "*"}]}]}'.replace(
            '"*"', "1"
        ),
        '{"format": 1, "entries": [{"identity": "a", "grants": [{"role": "node", "models": ["m*"]}]}]}',
        '{"format": 1, "entries": [{"identity": "a", "expires": "soon", "grants": [{"role": "node", "models": ["*"]}]}]}',
        '{"format": 1, "entries": [{"identity": "a", "color": 1, "grants": [{"role": "node", "models": ["*"]}]}]}',
        '{"format": 1, "entries": [{"identity": ["a"], "grants": [{"role": "node", "models": ["*"]}]}]}',
    ],
)
def test_files_that_are_wrong_are_refused_by_name(tmp_path: Path, text: str) -> None:
    """A file of another form is a SettingsError that names it, never another exception."""
    path = tmp_path / "tokens.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"tokens\.json"):
        tokens.read(path)


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    """A name stands for one principal in the history, so that a token and an identity cannot share it."""
    with pytest.raises(SettingsError, match="'ci'"):
        tokens.write(tmp_path / "tokens.json", [entry("ci"), entry("ci", token=None)])


def test_a_changed_file_is_read_again_and_a_broken_one_is_not_taken(tmp_path: Path) -> None:
    """Added and removed tokens take effect at the next look; a broken or missing file leaves the last good one."""
    path = tmp_path / "tokens.json"
    now = [0.0]
    tokens.write(path, [entry(token="nmt_a")])
    file = tokens.TokenFile(path, look_seconds=1.0, clock=lambda: now[0])

    def known(token: str) -> bool:
        return file.by_token(token_digest(token)) is not None

    tokens.write(path, [entry(token="nmt_b")])
    assert known("nmt_a")
    now[0] = 1.5
    assert (known("nmt_a"), known("nmt_b")) == (False, True)
    path.write_text("{")
    now[0] = 3.0
    assert known("nmt_b")
    path.unlink()
    now[0] = 5.0
    assert known("nmt_b")
    tokens.write(path, [])
    now[0] = 7.0
    assert not known("nmt_b")


class Directory:
    def by_token(self, digest: str) -> Principal | None:
        return {token_digest("nmt_good"): who(), token_digest("nmt_old"): Principal("old", (), 100.0)}.get(digest)

    def by_identity(self, identity: str) -> Principal | None:
        return {"known": Principal("known", ()), "old": Principal("old", (), 100.0)}.get(identity)


@pytest.mark.parametrize("header", ["nmt_good", "Basic nmt_good", "Bearer ", "Bearer nmt_other", "Bearer nmt_old", ""])
def test_who_proves_nothing_is_unauthenticated(header: str) -> None:
    """A header of another form, an unknown and an expired token are refused even beside a good certificate."""
    with pytest.raises(UnauthenticatedError):
        Access(Directory(), clock=lambda: 100.0).principal(header, lambda: "known")


def test_a_token_stands_over_the_certificate_and_certificates_need_an_entry() -> None:
    """The token names the actor where there is one; a certificate does where there is none, if its name has a role."""
    access = Access(Directory(), clock=lambda: 99.0)
    assert access.principal("bearer nmt_good", lambda: "known").name == "tester"
    assert access.principal("Bearer nmt_old", lambda: None).name == "old"
    assert access.principal(None, lambda: "known").name == "known"
    with pytest.raises(UnauthenticatedError):
        access.principal(None, lambda: None)
    with pytest.raises(PermissionDeniedError, match="'stranger'"):
        access.principal(None, lambda: "stranger")
    with pytest.raises(PermissionDeniedError, match="'old'"):
        Access(Directory(), clock=lambda: 100.0).principal(None, lambda: "old")


def test_the_file_is_json_that_people_can_read(tmp_path: Path) -> None:
    """The form of the file is the documented one."""
    path = tmp_path / "tokens.json"
    tokens.write(path, [entry("inference", NODE, token=None, expires=0.0)])
    assert json.loads(path.read_text()) == {
        "format": 1,
        "entries": [
            {
                "identity": "inference",
                "grants": [{"role": "node", "models": ["*"]}],
                "expires": "1970-01-01T00:00:00Z",
            }
        ],
    }


def test_refusals_are_told_at_most_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    """However many are refused, a second has one line in the log, and the next line says how many there were."""
    now = [5.0]
    refusals = Refusals(lambda: now[0])
    error = UnauthenticatedError("UNAUTHENTICATED", "the token is not known here")
    for _ in range(100):
        refusals.note(error)
    first = capsys.readouterr().out
    assert first.count("calls_refused") == 1
    assert "count=1 " in first
    now[0] += 1
    refusals.note(error)
    assert "count=100 " in capsys.readouterr().out
