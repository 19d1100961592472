"""Who is there: the workers that live, as far as the coordinator heard, and the slots that they offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neuralmesh_server.labor.desk import WorkerCard
    from neuralmesh_server.labor.plan import VersionPin


@dataclass(slots=True)
class Present:
    """A worker that lives.

    Attributes:
        card: Who it is.
        slots: Names of its slots.
        heard: When it was heard last, on the monotonic clock.
        asking: How many of its calls wait for work at this moment.
    """

    card: WorkerCard
    slots: tuple[str, ...]
    heard: float
    asking: int = 0

    def runs(self, versions: Sequence[VersionPin]) -> bool:
        """Say whether it computes the very bits that these versions are pinned to."""
        return all(self.card.numerics.get(pin.kind) == pin.numerics.id for pin in versions)


class Roster:
    """The workers that live. It changes when one comes, goes, or comes again with other slots or numerics.

    Attributes:
        changes: Counts changes, so that others see that there was one.
        quarantined: Names of workers that get no work.
    """

    def __init__(self) -> None:
        self._present: dict[str, Present] = {}
        self._replaced: dict[str, str] = {}
        self.changes = 0
        self.quarantined: set[str] = set()

    def get(self, name: str) -> Present | None:
        """Return a worker that lives."""
        return self._present.get(name)

    def __iter__(self) -> Iterator[Present]:
        return iter(self._present.values())

    def __len__(self) -> int:
        return len(self._present)

    def enter(self, card: WorkerCard, now: float) -> Present:
        """Note that a worker is there; one of the same name and another incarnation is replaced."""
        slots = tuple(f"{card.name}/{number}" for number in range(max(card.slots, 1)))
        found = self._present.get(card.name)
        if found is None or found.card != card:
            if found is not None and found.card.incarnation != card.incarnation:
                self._replaced[found.card.incarnation] = card.name
            asking = found.asking if found is not None and found.card.incarnation == card.incarnation else 0
            found = self._present[card.name] = Present(card, slots, now, asking)
            self.changes += 1
        found.heard = now
        return found

    def is_replaced(self, card: WorkerCard) -> bool:
        """Say whether another process has taken the name over, so that two do not take it from each other for ever."""
        return self._replaced.get(card.incarnation) == card.name

    def leave(self, name: str) -> None:
        """Note that a worker is gone; repeating it changes nothing."""
        if self._present.pop(name, None) is not None:
            self.changes += 1

    def silent(self, before: float) -> list[str]:
        """Return workers that were not heard since a time and do not wait for work either."""
        return [name for name, found in self._present.items() if found.heard < before and not found.asking]

    def able(self, versions: Sequence[VersionPin]) -> list[Present]:
        """Return workers that may run these versions, in byte order of their names."""
        return sorted(
            (found for found in self._present.values() if self.may_work(found) and found.runs(versions)),
            key=lambda found: found.card.name,
        )

    def may_work(self, worker: Present) -> bool:
        """Say whether a worker is not quarantined."""
        return worker.card.name not in self.quarantined
