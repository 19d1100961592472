"""What happens to a result within one transaction: taken, compared, disputed, decided.

The first result of an action is kept. Another one with the same bytes confirms it. One with other bytes is an alarm:
both become votes, whatever rests on them is undone in jobs that are not committed, and further workers run the action
until one result has more voters than any other, two at least. Who voted otherwise is quarantined: what it alone
has vouched for is forgotten and run again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuralmesh_server.errors import PermissionDeniedError
from neuralmesh_server.labor.records import Alarm, Entry, Vote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuralmesh_server.labor.records import Claim
    from neuralmesh_server.labor.store import Ledger


@dataclass(slots=True)
class Outcome:
    """What a result changed.

    Attributes:
        taken: The shard has its result now.
        vouchers: Who stands for the result of the action; empty while it is disputed.
        times: How often it was given.
        voters: Who has given a result of an action that is disputed.
        alarm: The alarm that was raised.
        withdrawn: Shards of running jobs that have no result any more.
        decided: Actions on which workers agree again, or of which nothing is known any more.
        quarantined: Who gets no more work.
    """

    taken: bool = False
    vouchers: frozenset[str] = frozenset()
    times: int = 0
    voters: frozenset[str] = frozenset()
    alarm: Alarm | None = None
    withdrawn: list[tuple[str, int]] = field(default_factory=list)
    decided: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)


def quarantined(worker: str) -> PermissionDeniedError:
    """Return the refusal of a worker that was outvoted."""
    return PermissionDeniedError(
        "WORKER_QUARANTINED",
        f"results of worker {worker!r} differed from those of others; it gets no work until it is released",
        worker=worker,
    )


def judge(votes: Sequence[Vote]) -> tuple[str, frozenset[str]] | None:
    """Return the digest that wins and its voters who gave no other one; None where nobody can tell yet."""
    voters: dict[str, set[str]] = {}
    for vote in votes:
        voters.setdefault(vote.digest, set()).add(vote.worker)
    ranking = sorted(voters.values(), key=len, reverse=True)
    if len(ranking[0]) < 2 or (len(ranking) > 1 and len(ranking[0]) == len(ranking[1])):
        return None
    times = Counter(worker for names in voters.values() for worker in names)
    steady = frozenset(worker for worker in ranking[0] if times[worker] == 1)
    winner = next(digest for digest, names in voters.items() if names is ranking[0])
    return (winner, steady) if steady else None


def record(ledger: Ledger, claim: Claim, now_ms: int, *, late: bool = False) -> Outcome:
    """Take a result, or compare it with the one that there is.

    Args:
        ledger: The transaction.
        claim: The result.
        now_ms: The present time.
        late: The lease is lost: the result is compared and not taken.

    Raises:
        PermissionDeniedError: WORKER_QUARANTINED.
    """
    if ledger.is_quarantined(claim.worker):
        raise quarantined(claim.worker)
    outcome = Outcome()
    entry = ledger.entry(claim.action)
    if entry is None:
        if not late:
            ledger.add_entry(claim)
            _take(ledger, claim, outcome, frozenset((claim.worker,)), 1)
    elif entry.disputed or entry.digest != claim.digest:
        _differ(ledger, entry, claim, outcome, now_ms=now_ms, late=late)
    else:
        outcome.vouchers, outcome.times = entry.vouchers | {claim.worker}, 1 + len(entry.confirmed)
        if claim.again or claim.worker not in entry.vouchers:  # that it says again what it said confirms nothing
            ledger.confirm(claim.action, claim.worker)
            outcome.times += 1
        if not late:
            _take(ledger, claim, outcome, outcome.vouchers, outcome.times)
    return outcome


def _differ(ledger: Ledger, entry: Entry, claim: Claim, outcome: Outcome, *, now_ms: int, late: bool) -> None:
    """Take a result on which there is no agreement: alarm where it is new, vote, and decide if that can be done."""
    known = {entry.digest, *(vote.digest for vote in ledger.votes(claim.action))}
    if claim.digest not in known:
        outcome.alarm = _alarm(ledger, entry, claim, now_ms)
    if claim.unverified:
        if not late:
            _take(ledger, claim, outcome, entry.vouchers, 1 + len(entry.confirmed))
        return
    _dispute(ledger, entry, claim, outcome)
    if not late and not outcome.voters and claim.worker not in outcome.quarantined:
        _take(ledger, claim, outcome, outcome.vouchers, len(outcome.vouchers))


def _take(ledger: Ledger, claim: Claim, outcome: Outcome, vouchers: frozenset[str], times: int) -> None:
    ledger.add_shard(claim.job, claim.shard, claim.action, cached=False)
    ledger.count_done(claim.worker)
    outcome.taken, outcome.vouchers, outcome.times = True, vouchers, times


def _alarm(ledger: Ledger, entry: Entry, claim: Claim, now_ms: int) -> Alarm:
    alarm = Alarm(
        action=claim.action,
        job=claim.job,
        shard=claim.shard,
        first_digest=entry.digest,
        first_worker=entry.worker,
        second_digest=claim.digest,
        second_worker=claim.worker,
        quarantined="",
        time_ms=now_ms,
    )
    ledger.add_alarm(alarm)
    return alarm


def _dispute(ledger: Ledger, entry: Entry, claim: Claim, outcome: Outcome) -> None:
    """Add a vote to what is disputed from now on, and decide where that can be done."""
    if not entry.disputed:
        ledger.set_disputed(entry.action)
        for worker in sorted(entry.vouchers):
            ledger.add_vote(entry.action, Vote(worker, entry.digest, entry.result))
        outcome.withdrawn += ledger.withdraw(entry.action)
    ledger.add_vote(entry.action, Vote(claim.worker, claim.digest, claim.result))
    votes = ledger.votes(entry.action)
    verdict = judge(votes)
    if verdict is None:
        outcome.voters = frozenset(vote.worker for vote in votes)
        return
    outcome.vouchers = verdict[1]
    _settle(ledger, entry.action, *verdict, outcome)
    losers = {vote.worker for vote in votes if vote.digest != verdict[0]}
    for worker in sorted(losers):
        ledger.name_culprit(entry.action, worker)
        _quarantine(ledger, worker, outcome)


def _settle(ledger: Ledger, action: str, winner: str, vouchers: frozenset[str], outcome: Outcome) -> None:
    """Make a result the one of an action that was disputed."""
    result = next(vote.result for vote in ledger.votes(action) if vote.digest == winner)
    first, *others = sorted(vouchers)
    ledger.replace_entry(Entry(action, result, winner, first, tuple(others)))
    ledger.drop_votes(action)
    outcome.decided.append(action)


def _quarantine(ledger: Ledger, worker: str, outcome: Outcome) -> None:
    """Give a worker no more work, and forget what it alone has vouched for."""
    if ledger.is_quarantined(worker):
        return
    ledger.set_quarantined(worker, value=True)
    outcome.quarantined.append(worker)
    for entry in ledger.entries_of(worker):
        if not entry.disputed and all(ledger.is_quarantined(name) for name in entry.vouchers):
            outcome.withdrawn += ledger.withdraw(entry.action)
            ledger.drop_entry(entry.action)
    for action in ledger.disputes_of(worker):
        ledger.drop_votes(action, worker)
        rest = ledger.votes(action)
        digests = {vote.digest for vote in rest}
        if not digests:
            ledger.drop_votes(action)
            ledger.drop_entry(action)
            outcome.decided.append(action)
        elif len(digests) == 1:
            ledger.name_culprit(action, worker)
            _settle(ledger, action, digests.pop(), frozenset(vote.worker for vote in rest), outcome)
