"""The seam between the registry's rules and the database: what a store offers, whatever engine is behind it.

Rules are functions over a `View` or a `Transaction`; the store runs them on a consistent state, on a thread of its own.
A rule may be run only once and must not touch anything else. The conformance suite in tests/registry holds for every
store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.registry.records import Alias, AliasState, Event, Head, Model, Version
    from neuralmesh_server.registry.records_checks import Check, CheckRecorded
    from neuralmesh_server.registry.records_mesh import Assignment, Wave
    from neuralmesh_server.registry.records_policy import AliasProtection, ModelPolicy

T = TypeVar("T")

PAGE_BYTES = 1024 * 1024
"""Canonical bytes after which a list ends early, so that no answer outgrows a client's default limit of 4 MiB."""

LISTED_ROLLBACKS = 100
"""Most rollback versions that an alias lists."""


class View(Protocol):
    """One consistent state.

    Lists hold at most `limit` items and about PAGE_BYTES; where there is an item, they hold at least one.
    """

    def head(self) -> Head:
        """Return the newest revision and the state digest; revision 0 before the first change."""

    def digest_at(self, revision: int) -> bytes | None:
        """Return the state digest after a revision, or None beyond the newest."""

    def model(self, name: str) -> Model | None:
        """Return a model."""

    def model_of(self, uid: int) -> Model | None:
        """Return the model of a number."""

    def models(self, after: str, limit: int) -> list[Model]:
        """Return the models whose names follow `after`, in byte order."""

    def policies(self) -> dict[str, tuple[ModelPolicy, int]]:
        """Return the policies of all models that were given one, with their revisions, by the models' names."""

    def exact_version(self, model: Model) -> int | None:
        """Return a version of the model whose metadata says `batching: exact`."""

    def version(self, model: Model, number: int) -> Version | None:
        """Return a version."""

    def version_of_digest(self, model: Model, digest: str) -> int | None:
        """Return the number of the model's version with this digest."""

    def versions(self, model: Model, before: int, limit: int) -> list[Version]:
        """Return the versions below a number, newest first."""

    def alias(self, model: Model, alias: str) -> Alias | None:
        """Return an alias."""

    def aliases(self, model: Model, after: str, limit: int) -> list[Alias]:
        """Return the aliases of a model whose names follow `after`, in byte order."""

    def all_aliases(self) -> list[Alias]:
        """Return every alias of every model."""

    def protection(self, model: Model, alias: str) -> AliasProtection | None:
        """Return what a promotion of an alias must bring along; the alias need not exist."""

    def protection_revision(self, model: Model, alias: str) -> int:
        """Return the revision of an alias's last change of protection, be it that it was lifted; 0 before the first."""

    def is_known(self, model: Model, alias: str) -> bool:
        """Return whether the log says anything of an alias: a move, or a protection before the first."""

    def stack_depth(self, model: Model, alias: str) -> int:
        """Return how many promotions of an alias are in force, one above the other; 0 when it does not exist."""

    def stack_find(self, model: Model, alias: str, version: int) -> int | None:
        """Return the depth (from 1) of the newest promotion below the one in force that set a version."""

    def stack_state(self, model: Model, alias: str, depth: int) -> AliasState:
        """Return the state that the promotion at a depth set."""

    def events_after(self, revision: int, limit: int, until: int | None = None) -> list[Event]:
        """Return consecutive events after a revision, oldest first; none beyond `until`."""

    def events_before(
        self, revision: int, limit: int, model: Model | None = None, alias: str | None = None
    ) -> list[Event]:
        """Return events before a revision, newest first, of everything, a model or an alias."""

    def births_after(self, revision: int, limit: int, until: int) -> list[Event]:
        """Return the events after a revision that created a model or a version, oldest first; none beyond `until`."""

    def version_count(self, model: str, until: int) -> int:
        """Return how many versions a model had at a revision."""

    def moves_in_force(self, model: Model, version: int, revision: int) -> list[Event]:
        """Return, for each alias that named the version in any arm at a revision, the move that had made it so."""

    def assignment(self, name: str) -> Assignment | None:
        """Return the assignment of an id."""

    def assignments(self, after: int, limit: int) -> list[Assignment]:
        """Return the assignments that were set after a revision, in order of their revisions."""

    def all_assignments(self) -> list[Assignment]:
        """Return every assignment, in order of their revisions."""

    def waves(self, model: Model | None = None) -> list[Wave]:
        """Return the moves that have not reached every node, of a model or of all, the newest first."""

    def alias_before(self, model: Model, alias: str, revision: int) -> Alias | None:
        """Return an alias as it was before a move since which it was only promoted; None where it did not exist."""

    def check(self, model: Model, version: int, kind: str, output_digest: str) -> Check | None:
        """Return the check of a version by its kind and output digest."""

    def checks(self, model: Model, version: int | None, before: int, limit: int) -> list[Check]:
        """Return the checks of a version, or of all of a model, recorded before a revision, newest first."""

    def node_key(self, node: str) -> tuple[bytes, int] | None:
        """Return a node's key and the revision that made it known."""

    def remembered(self, request_id: str) -> tuple[str, bytes] | None:
        """Return the fingerprint and result of a request id that was used."""


class Transaction(View, Protocol):
    """A view that changes. All changes of one rule are committed together, or none."""

    def append(self, event: Event, state_accumulator: bytes, state_digest: bytes, model: Model | None) -> None:
        """Append the event of the next revision; `model` is the one that it belongs to."""

    def accumulator(self) -> bytes:
        """Return the sum behind the state digest; empty at first."""

    def next_uid(self) -> int:
        """Return the number of the next model."""

    def insert_model(self, model: Model) -> None:
        """Add a model."""

    def insert_version(self, model: Model, version: Version) -> None:
        """Add the next version of a model; its event is appended in the same rule."""

    def push(self, model: Model, alias: str, version: int, revision: int) -> None:
        """Put a promotion on an alias's stack, creating the alias where it does not exist."""

    def cut(self, model: Model, alias: str, depth: int, revision: int) -> None:
        """Take away the promotions above a depth."""

    def set_policy(self, model: Model, revision: int) -> None:
        """Make the policy of the event at a revision the model's; the event is appended in the same rule."""

    def set_protection(self, model: Model, alias: str, revision: int) -> None:
        """Make the protection of the event at a revision the alias's; the event is appended in the same rule."""

    def set_assignment(self, name: str, model: Model, revision: int) -> None:
        """Make the assignment of the event at a revision that of an id; the event is appended in the same rule."""

    def drop_assignment(self, name: str) -> None:
        """Let an assignment go."""

    def set_wave(self, model: Model, alias: str, revision: int, share_ppm: int) -> None:
        """Keep the share of the nodes that a move has reached."""

    def end_waves(self, model: Model, alias: str) -> None:
        """Let every move of an alias have reached all nodes."""

    def insert_check(self, model: Model, change: CheckRecorded, revision: int) -> None:
        """Keep a check, whose event is appended in the same rule."""

    def insert_node_key(self, node: str, key: bytes, revision: int) -> None:
        """Keep a node's key."""

    def remember(self, request_id: str, fingerprint: str, result: bytes, time_ms: int) -> None:
        """Keep the result of a request id for at least 24 hours after `time_ms`."""


class Store(Protocol):
    """Runs rules over the registry's state."""

    async def read(self, rule: Callable[[View], T]) -> T:
        """Run a rule on the newest committed state."""

    async def change(self, rule: Callable[[Transaction], T]) -> T:
        """Run a rule and return its result when its changes are durable; a raised error undoes them.

        Raises:
            ResourceExhaustedError: STORAGE_FULL; nothing was changed.
            UnavailableError: NOT_SERVING, the store is closed.
        """

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call a listener after every commit, on a thread of the store's; it must return at once."""

    def close(self) -> None:
        """Finish what was accepted, then close. Repeating it changes nothing."""
