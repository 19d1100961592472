"""Checks: what somebody found about a version, kept for ever beside it. The registry believes whoever may record them.

They are part of the log and not of the state: nodes hold nothing of them, and no rule depends on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.registry import documents_checks
from neuralmesh_server.registry.catalog import find_model, find_version
from neuralmesh_server.registry.ledger import Repeatable, record
from neuralmesh_server.registry.records_checks import Check, CheckRecorded

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.registry.records import Model, Origin
    from neuralmesh_server.registry.records_checks import Finding
    from neuralmesh_server.registry.store import Store, Transaction, View

_RECORD = Repeatable("RecordCheck", documents_checks.check_fact, documents_checks.read_check)


class Checks:
    """Records and finds checks.

    Args:
        store: Where they are kept.
        clock: Milliseconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def record(self, model: str, version: int, finding: Finding, origin: Origin) -> Check:
        """Record a check, or return the one that the version has of this kind with this output.

        Raises:
            NotFoundError: MODEL_NOT_FOUND, VERSION_NOT_FOUND.
        """
        change = CheckRecorded(model, version, finding)
        arguments: Fact = documents_checks.recorded_fact(change)

        def rule(transaction: Transaction) -> Check:
            now = self._clock()

            def add() -> Check:
                return _record(transaction, now, find_model(transaction, model), change, origin)

            return _RECORD.once(transaction, now, origin, arguments, add)

        return await self._store.change(rule)

    async def listed(self, model: str, version: int | None, before: int, limit: int) -> list[Check]:
        """Return a page of the checks of a version, or of a model, before a revision, newest first.

        Raises:
            NotFoundError: MODEL_NOT_FOUND, VERSION_NOT_FOUND.
        """

        def rule(view: View) -> list[Check]:
            found = find_model(view, model)
            if version is not None:
                find_version(view, found, version)
            return view.checks(found, version, before, limit)

        return await self._store.read(rule)


def _record(transaction: Transaction, time_ms: int, model: Model, change: CheckRecorded, origin: Origin) -> Check:
    find_version(transaction, model, change.number)
    known = transaction.check(model, change.number, change.finding.kind, change.finding.output_digest)
    if known is not None:
        return known
    event = record(transaction, time_ms, origin, change, model=model)
    transaction.insert_check(model, change, event.revision)
    return event.check
