"""`neuralmesh tokens`, and the services and commands that use what it makes."""

from __future__ import annotations

import json

import pytest

from neuralmesh_server.cli import exit_codes
from neuralmesh_server.runtime import tokens
from neuralmesh_server.runtime.access import token_digest


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "tokens.json"
    monkeypatch.setenv("NEURALMESH_TOKENS", str(path))
    return path


def test_a_token_is_shown_once_and_works_by_its_digest(here, file):
    """`add` prints the token and nothing else; the file holds its digest, roles and models."""
    code, shown, _ = here("tokens", "add", "ci", "--role", "promoter", "--models", "digits*", "--expires", "2030-01-31")
    assert code == 0
    token = shown.strip()
    (entry,) = tokens.read(file)
    assert entry.digest == token_digest(token)
    assert (entry.principal.name, [(g.role, g.models) for g in entry.principal.grants]) == (
        "ci",
        [("promoter", ("digits*",))],
    )
    assert tokens.time_text(entry.principal.expires) == "2030-01-31T00:00:00Z"
    assert token not in here("tokens", "list")[1]


def test_identities_get_roles_without_a_token(here, file):
    """`add --identity` names a certificate; `list` shows both kinds."""
    assert here("tokens", "add", "inference", "--identity", "--role", "node", "--role", "reader")[0] == 0
    assert here("tokens", "add", "ci", "--role", "reader", "--json")[0] == 0
    code, shown, _ = here("tokens", "list", "--json")
    assert code == 0
    assert [(item["name"], item["kind"], len(item["grants"])) for item in json.loads(shown)] == [
        ("inference", "identity", 2),
        ("ci", "token", 1),
    ]


def test_removed_names_are_gone_and_may_come_again(here, file):
    """`remove` takes an entry out; removing it again is not found, adding it again makes another token."""
    first = here("tokens", "add", "ci", "--role", "reader")[1]
    assert here("tokens", "add", "ci", "--role", "reader")[0] == exit_codes.CONFLICT
    assert here("tokens", "remove", "ci")[0] == 0
    assert here("tokens", "remove", "ci")[0] == exit_codes.NOT_FOUND
    assert here("tokens", "add", "ci", "--role", "reader")[1] != first


@pytest.mark.parametrize(
    "arguments",
    [
        ("ci", "--role", "king"),
        ("ci",),
        ("", "--role", "reader"),
        ("a b", "--role", "reader"),
        ("ci", "--role", "reader", "--models", "Digits/*"),
        ("ci", "--role", "node", "--models", "digits"),
        ("ci", "--role", "reader", "--expires", "soon"),
    ],
)
def test_wrong_entries_are_usage_errors_and_change_nothing(here, file, arguments):
    """A role, name, pattern or time that is none is refused before the file is touched."""
    assert here("tokens", "add", *arguments)[0] == exit_codes.USAGE
    assert not file.exists()


def test_the_file_must_be_named(here, monkeypatch):
    """Without --file and NEURALMESH_TOKENS there is nothing to change."""
    monkeypatch.delenv("NEURALMESH_TOKENS", raising=False)
    code, _, said = here("tokens", "list")
    assert code == exit_codes.USAGE
    assert "NEURALMESH_TOKENS" in said
