"""The rules of promotion against a plain list."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from neuralmesh_server.errors import AbortedError, FailedPreconditionError, NotFoundError
from neuralmesh_server.registry.catalog import Catalog
from neuralmesh_server.registry.promotion import Promotions
from neuralmesh_server.registry.records import Actor, AliasState, FileEntry, Manifest, Origin
from neuralmesh_server.registry.store_sqlite import SqliteStore

ANN = Origin(Actor("ann"))
VERSIONS = 4


class EveryArtifact:
    async def sizes(self, digests):
        return dict.fromkeys(digests, 0)


class PromotionMachine(RuleBasedStateMachine):
    """An alias moved at random beside a list; `etag` is any that was ever seen, or none."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.store = SqliteStore(Path(self.folder.name) / "registry.sqlite")
        self.promotions = Promotions(self.store, lambda: 0)
        self.stack: list[int] = []
        self.revision = 0
        self.moves: list[tuple[int, int]] = []

    def run(self, work):
        return self.loop.run_until_complete(work)

    @initialize()
    def create(self):
        catalog = Catalog(self.store, EveryArtifact(), lambda: 0)
        self.run(catalog.create_model("digits", "", ANN))
        for number in range(1, VERSIONS + 1):
            files = (FileEntry("f", 0, f"sha256:{number:064x}"),)
            self.run(catalog.create_version("digits", Manifest("onnx", files), ANN))

    def etag(self, choice: int) -> str:
        """Return none, the current etag, or a stale one."""
        return ["", f'"{self.revision}"', f'"{self.revision + 7}"'][choice]

    @rule(version=st.integers(1, VERSIONS + 1), choice=st.integers(0, 2))
    def promote(self, version, choice):
        """Promote pushes, unless the etag is stale, the version unknown or in force already."""
        try:
            move = self.run(self.promotions.promote("digits", "live", AliasState(version), self.etag(choice), ANN))
        except AbortedError:
            assert choice == 2
            return
        except NotFoundError:
            assert version > VERSIONS
            return
        assert choice != 2
        assert version <= VERSIONS
        assert (None if move.before is None else move.before.version) == (self.stack[-1] if self.stack else None)
        if not self.stack or self.stack[-1] != version:
            self.stack.append(version)
            self.moved(move)
        else:
            assert move.alias.revision == self.revision

    @rule(to=st.integers(0, VERSIONS), choice=st.integers(0, 2))
    def rollback(self, to, choice):
        """Rollback cuts the list to the wanted promotion, or is refused and changes nothing."""
        try:
            move = self.run(self.promotions.rollback("digits", "live", to, self.etag(choice), ANN))
        except AbortedError:
            assert choice == 2
            return
        except NotFoundError:
            assert not self.stack
            return
        except FailedPreconditionError as error:
            if error.reason == "NEVER_PROMOTED":
                assert to not in self.stack
                assert to != 0
            else:
                assert len(self.stack) == 1 or to == self.stack[-1]
            return
        assert choice != 2
        assert move.before.version == self.stack[-1]
        self.stack.pop()
        while to and self.stack[-1] != to:
            self.stack.pop()
        self.moved(move)

    def moved(self, move):
        assert move.alias.revision > self.revision
        self.revision = move.alias.revision
        self.moves.append((self.revision, move.alias.state.version))

    @invariant()
    def same(self):
        """The alias says what the list says."""
        if not self.stack:
            return
        alias = self.run(self.promotions.alias("digits", "live"))
        assert [alias.state.version, *alias.rollback_versions] == self.stack[::-1]
        assert alias.etag == f'"{self.revision}"'
        history = self.run(self.promotions.history("digits", "live", 10**6, 1000))
        assert [(event.revision, event.change.after.version) for event in history[::-1]] == self.moves

    def teardown(self):
        self.store.close()
        self.loop.close()
        self.folder.cleanup()


TestPromotion = PromotionMachine.TestCase
TestPromotion.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
