"""Which version answers: numbers, aliases, the default, and what is said when none does."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import replace

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server import prediction_id
from neuralmesh_server.errors import NeuralMeshError, UnavailableError
from neuralmesh_server.inference.holding.records import AliasRecord, ModelRecord, VersionRecord
from neuralmesh_server.inference.holding.replica import Replica, SnapshotPart, Step
from neuralmesh_server.inference.publishing import publish
from neuralmesh_server.inference.serving import LOADING, UNAVAILABLE, LoadedModel, Serving, Snapshot, VersionState
from neuralmesh_server.inference.tensors import Signature
from neuralmesh_server.runtime.status import code_of
from tests.inference.test_requests import Echo, loaded


def digest(version: int) -> str:
    """Return a digest for a version."""
    return "sha256:" + hashlib.sha256(str(version).encode()).hexdigest()


def replica(revision: int, versions: int, **aliases: int) -> Replica:
    """Return the state of a registry with one model `m`."""
    state = Replica()
    part = SnapshotPart(
        models=(ModelRecord("m", 4), ModelRecord("bare", 5)),
        versions=tuple(VersionRecord("m", n, digest(n), "echo", (), None, 0) for n in range(1, versions + 1)),
        aliases=tuple(AliasRecord("m", name, n, 1, {"version": n}, ()) for name, n in aliases.items()),
        first=True,
        last=True,
    )
    state.apply(Step(revision, b"", part))
    return state


def held(*versions: int) -> dict[tuple[str, int], LoadedModel]:
    """Return loaded versions of `m`."""
    model = loaded(Echo(Signature((), ())))
    return {("m", n): replace(model, version=n, uid=4, digest=digest(n)) for n in versions}


def snapshot(state: Replica, *ready: int, **states: VersionState) -> Snapshot:
    """Return a first snapshot."""
    return publish(state, held(*ready), {("m", int(key[1:])): value for key, value in states.items()}, {}, None)


def test_an_empty_version_is_the_alias_production() -> None:
    """With the alias `production`, nothing else is meant by an empty version, even when newer ones are ready."""
    current = snapshot(replica(9, 3, production=2), 1, 2, 3)
    assert current.resolve("m", "").loaded.version == 2
    assert current.resolve("m", "production").loaded.version == 2
    assert current.resolve("m", "3").loaded.version == 3


def test_an_empty_version_is_else_the_highest_that_is_ready() -> None:
    """Without the alias, the highest ready version answers; others do not count."""
    current = snapshot(replica(9, 3, staging=1), 1, 2)
    assert current.resolve("m", "").loaded.version == 2


@pytest.mark.parametrize(
    ("model", "version", "code", "reason"),
    [
        ("other", "", StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        ("other", "1", StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        ("m", "7", StatusCode.NOT_FOUND, "VERSION_NOT_FOUND"),
        ("m", "staging", StatusCode.NOT_FOUND, "ALIAS_NOT_FOUND"),
        ("m", "3", StatusCode.UNAVAILABLE, "VERSION_NOT_READY"),
        ("m", "next", StatusCode.UNAVAILABLE, "VERSION_NOT_READY"),
        ("bare", "", StatusCode.NOT_FOUND, "VERSION_NOT_FOUND"),
        ("m", "1abc", StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", "-1", StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", "+1", StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", " 1", StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", "1 ", StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", "1\n", StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", "01", StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", "0", StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", "\u0661", StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", "2147483648", StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", "9" * 5000, StatusCode.INVALID_ARGUMENT, "VERSION_INVALID"),
        ("m", "Production", StatusCode.INVALID_ARGUMENT, "NAME_INVALID"),
        ("m", "pr\u043eduction", StatusCode.INVALID_ARGUMENT, "NAME_INVALID"),
        ("../m", "", StatusCode.INVALID_ARGUMENT, "NAME_INVALID"),
        ("m\0", "", StatusCode.INVALID_ARGUMENT, "NAME_INVALID"),
        ("", "", StatusCode.INVALID_ARGUMENT, "NAME_INVALID"),
        ("a" * 300, "", StatusCode.INVALID_ARGUMENT, "NAME_INVALID"),
    ],
)
def test_what_does_not_answer_says_why(model: str, version: str, code: StatusCode, reason: str) -> None:
    """Each way not to find a version has its own reason."""
    current = snapshot(replica(9, 3, next=3), 1, v3=VersionState(LOADING))
    with pytest.raises(NeuralMeshError) as failure:
        current.resolve(model, version)
    assert (code_of(failure.value), failure.value.reason) == (code, reason)


def test_a_version_that_is_not_ready_shows_its_state() -> None:
    """The state of a version and the reason of that state stand in the metadata."""
    current = snapshot(replica(9, 3, production=3), 1, v3=VersionState(UNAVAILABLE, "failed to load: x"))
    for version in ("3", "production", ""):
        with pytest.raises(UnavailableError) as failure:
            current.resolve("m", version)
        assert failure.value.metadata == {
            "model": "m",
            "version": "3",
            "state": "UNAVAILABLE",
            "stateReason": "failed to load: x",
        }


def test_an_alias_stays_where_it_was_until_its_version_is_ready() -> None:
    """While a promoted version loads, the one before answers, under the revision that had it in force."""
    first = publish(replica(9, 2, production=1), held(1), {}, {}, None)
    moved = replica(12, 2, production=2)
    second = publish(moved, held(1), {("m", 2): VersionState(LOADING)}, first.aliases, first)
    assert second.resolve("m", "production").loaded.version == 1
    assert second.resolve("m", "").revision == 9
    third = publish(moved, held(1, 2), {}, second.aliases, second)
    assert third.resolve("m", "production").loaded.version == 2
    assert third.resolve("m", "production").revision == 12
    assert third.resolve("m", "1").revision == 12


def test_a_number_that_was_given_again_gets_no_older_revision() -> None:
    """A version that answers for an alias keeps its revision only while it is the very version that had it."""
    first = publish(replica(9, 2, production=1), held(1), {}, {}, None)
    moved = replica(12, 2, production=2)
    again = {("m", 1): replace(held(1)["m", 1], digest=digest(77))}
    assert publish(moved, again, {}, first.aliases, first).resolve("m", "1").revision == 12
    again = {("m", 1): replace(held(1)["m", 1], uid=5)}
    assert publish(moved, again, {}, first.aliases, first).resolve("m", "1").revision == 12
    assert publish(moved, held(1), {}, first.aliases, first).resolve("m", "1").revision == 9


def test_the_subject_of_predictions_names_version_and_revision() -> None:
    """What goes into prediction ids is made once for each version and revision."""
    served = snapshot(replica(9, 2, production=2), 1, 2).resolve("m", "")
    assert served.subject == prediction_id.subject(9, 4, 2, digest(2))


def test_before_the_first_snapshot_nothing_is_served() -> None:
    """A node that knows nothing yet is UNAVAILABLE and not without models."""
    with pytest.raises(UnavailableError) as failure:
        Serving().snapshot()
    assert failure.value.reason == "NOT_SERVING"


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_resolves_or_gets_a_domain_error(model: str, version: str) -> None:
    """No name or version text makes resolving fail in another way."""
    current = snapshot(replica(9, 2), 1)
    for name in (model, "m"):
        with contextlib.suppress(NeuralMeshError):
            assert current.resolve(name, version).loaded.version == 1


async def test_nothing_is_left_of_a_wait_that_was_given_up() -> None:
    """A caller that no longer waits for a snapshot is forgotten at once, and not at the next snapshot."""
    serving = Serving()
    waits = [asyncio.ensure_future(serving.when(lambda _: False)) for _ in range(3)]
    await asyncio.sleep(0)
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    assert serving._waiting == []


def test_without_an_alias_the_newest_ready_version_answers() -> None:
    """Each model without a default alias has its own newest version, in whatever order they became ready."""
    current = snapshot(replica(9, 12), 10, 9, 11, 2)
    assert current.resolve("m", "").loaded.version == 11


def test_aliases_are_listed_by_version() -> None:
    """Every version has the aliases that resolve to it, in order; one without any has no entry."""
    current = snapshot(replica(9, 3, production=2, beta=1, alpha=2), 1, 2, 3)
    assert current.aliases_by_version() == {("m", 2): ["alpha", "production"], ("m", 1): ["beta"]}
