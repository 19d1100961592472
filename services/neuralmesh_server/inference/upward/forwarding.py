"""Calls that go to the node further up: those that cannot be served here, and those that hedging sends beside a run.

What goes up are the caller's own bytes, and what comes back is the answer as it was made there, under the upstream's
prediction id: this node puts nothing into it and records nothing of it. The digest goes along where it is known here,
so that no other version answers than the one that would have answered here. Nothing is sent twice. Belongs to the loop.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from neuralmesh_server.errors import (
    REASONS,
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NeuralMeshError,
    UnavailableError,
)
from neuralmesh_server.inference.request import DIGEST_KEY, HOPS_KEY, MAX_HOPS
from neuralmesh_server.inference.serving import check_names
from neuralmesh_server.inference.upstreams.link import Passing, UpstreamError
from neuralmesh_server.inference.upstreams.upstream import PASSED_ON, failure
from neuralmesh_server.inference.upward.recent import RecentBy

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.upstreams.link import UpwardLink
    from neuralmesh_server.inference.upward.counts import Counts

STALE = "STATE_STALE"
MISSES = frozenset(
    {
        "MODEL_NOT_FOUND",
        "VERSION_NOT_FOUND",
        "ALIAS_NOT_FOUND",
        "VERSION_NOT_READY",
        "DIGEST_MISMATCH",
        "NOT_SERVING",
        STALE,
    }
)
"""Reasons, before a version is found, for which another node may answer; what is wrong with a request is none."""
FULL = frozenset({"QUEUE_FULL", STALE})
"""Reasons after that: nothing ran, and it was not the request's fault."""

MARGIN_SECONDS = 0.001
"""Time that has to be left beside what the upstream takes."""
LONGEST_SECONDS = 60.0
"""How long a call without a deadline waits."""
FIRST_HINT_SECONDS, LAST_HINT_SECONDS = 0.01, 5.0
"""Range of the hint when to try again."""

_NOTHING_RAN = frozenset({"NOT_FOUND", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED"})
_REFUSED = frozenset({"DIGEST_MISMATCH", "HOPS_EXCEEDED", "QUEUE_FULL"})


class Forwarding:
    """Asks the node further up.

    Args:
        link: The connection to it.
        label: Its address, for messages.
        counts: What is counted.
        digest_of: Returns the digest of what a model and a version text name here, ready or not; empty where unknown.
        clock: Returns the time in seconds, never going back.
    """

    def __init__(
        self,
        *,
        link: UpwardLink,
        label: str,
        counts: Counts,
        digest_of: Callable[[str, str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._label = label
        self._counts = counts
        self._digest_of = digest_of
        self._clock = clock
        self._took = RecentBy(clock)

    async def instead(self, error: NeuralMeshError, request: Request, caller: Caller, digest: str = "") -> bytes:
        """Return the upstream's answer to a call that failed here before anything ran.

        Args:
            error: Why it failed.
            request: The request.
            caller: Who waits.
            digest: Digest of the version that was found here; empty where none was.

        Raises:
            NeuralMeshError: The error itself where the upstream says that nothing ran there either, and its
                INVALID_ARGUMENT as it says it; HOPS_EXCEEDED; UNAVAILABLE with a hint where there is not enough time;
                else what `upstreams.upstream.failure` makes of the upstream's status.
        """
        check_names(request.model, request.version)  # a node that starts has not looked at them
        if caller.hops >= MAX_HOPS:
            raise FailedPreconditionError(
                "HOPS_EXCEEDED",
                f"{caller.hops} nodes passed the call on already; {self._label} is not asked: {error.message}",
                upstream=self._label,
                hops=caller.hops,
                localReason=error.reason,
            ) from error
        self._check_time(error, request, caller)
        pin = caller.digest or digest or self._resolved(error, request)
        self._counts.forwarded += 1
        try:
            return await self.ask(request, caller, pin)
        except UpstreamError as failed:
            self._counts.forward_failures += 1
            raise self._told(error, failed) from failed

    def may_ask(self, request: Request, caller: Caller) -> bool:
        """Say whether hops and time permit to ask for an answer to a request."""
        remaining = caller.remaining()
        return caller.hops < MAX_HOPS and (remaining is None or remaining > self._needed(request))

    async def ask(self, request: Request, caller: Caller, digest: str) -> bytes:
        """Return the answer to a request from a version of a digest; cancelling this cancels the call.

        Raises:
            UpstreamError: There is none.
        """
        remaining = caller.remaining()
        found = [(key, caller.metadata(key)) for key in PASSED_ON]
        metadata = [(HOPS_KEY, str(caller.hops + 1)), *((key, value) for key, value in found if value is not None)]
        if digest:
            metadata.append((DIGEST_KEY, digest))
        seconds = LONGEST_SECONDS if remaining is None else remaining
        started, counts = self._clock(), True
        try:
            return await self._link.pass_on(Passing(request.data, seconds, tuple(metadata)))
        except UpstreamError as error:
            counts = error.sent and error.code == DeadlineExceededError.code  # it takes at least this long
            raise
        except asyncio.CancelledError:
            counts = caller.is_late()  # as above
            raise
        finally:
            if counts:
                self._took.of(request.model).add(self._clock() - started)

    async def close(self) -> None:
        """End all calls and the connection."""
        await self._link.close()

    def _needed(self, request: Request) -> float:
        return self._took.of(request.model).p95() + MARGIN_SECONDS

    def _check_time(self, error: NeuralMeshError, request: Request, caller: Caller) -> None:
        remaining = caller.remaining()
        if remaining is None:
            return
        needed = self._needed(request)
        if remaining > needed:
            return
        if remaining <= 0:
            raise DeadlineExceededError("DEADLINE_EXPIRED", f"the deadline passed before {self._label} was asked")
        message = f"{self._label} is not asked, since it takes {needed:.3f} seconds and {remaining:.3f} are left"
        refusal = UnavailableError(
            "PEER_UNREACHABLE", f"{message}: {error.message}", upstream=self._label, localReason=error.reason
        )
        hint = needed if error.retry_seconds is None else error.retry_seconds
        raise refusal.retry_after(min(max(hint, FIRST_HINT_SECONDS), LAST_HINT_SECONDS)) from error

    def _resolved(self, error: NeuralMeshError, request: Request) -> str:
        """Return the digest of what a request names; a node that is stale does not know where an alias stands."""
        if error.reason == STALE and not request.version.isdecimal():
            return ""
        return self._digest_of(request.model, request.version)

    def _told(self, error: NeuralMeshError, failed: UpstreamError) -> NeuralMeshError:
        if failed.code == InvalidArgumentError.code and failed.reason in REASONS:
            return InvalidArgumentError(failed.reason, str(failed), upstream=self._label)
        if not nothing_ran(failed):
            return failure(failed, self._label)
        error.metadata |= {"upstream": self._label, "upstreamCode": failed.code}
        if failed.reason:
            error.metadata["upstreamReason"] = failed.reason
        return error


def nothing_ran(failed: UpstreamError) -> bool:
    """Say whether another node says that nothing ran, so that the call is as it was before it was passed on."""
    if not failed.sent or failed.code in _NOTHING_RAN or failed.reason in _REFUSED:
        return True
    return failed.code == UnavailableError.code and bool(failed.reason)
