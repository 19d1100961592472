"""What the exit code of a command means: one table for the programs that call it, printed by `--help`."""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
UNAVAILABLE = 4
CONFLICT = 5
DENIED = 6
INTERRUPTED = 130

MEANINGS: dict[int, str] = {
    OK: "done",
    FAILED: "failed: the state forbids it, a limit, a defect, or a check of `doctor`",
    USAGE: "wrong usage or an invalid argument",
    NOT_FOUND: "model, version, alias or artifact not found",
    UNAVAILABLE: "a service cannot be reached, is not ready, or did not answer in time",
    CONFLICT: "exists already, or somebody else changed it at the same moment",
    DENIED: "not authenticated or not permitted",
    INTERRUPTED: "interrupted",
}
"""Meaning of each exit code."""

STATUS_CODES: dict[str, int] = {
    "INVALID_ARGUMENT": USAGE,
    "OUT_OF_RANGE": USAGE,
    "NOT_FOUND": NOT_FOUND,
    "UNAVAILABLE": UNAVAILABLE,
    "DEADLINE_EXCEEDED": UNAVAILABLE,
    "ALREADY_EXISTS": CONFLICT,
    "ABORTED": CONFLICT,
    "UNAUTHENTICATED": DENIED,
    "PERMISSION_DENIED": DENIED,
    "CANCELLED": INTERRUPTED,
}
"""Exit code of each gRPC status name; every other one is FAILED."""


class CommandError(Exception):
    """A command failed.

    Args:
        message: A sentence for people.
        reason: Name of the contract's ErrorReason without its prefix, or nothing.
        code: The exit code.
    """

    def __init__(self, message: str, reason: str, code: int) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.code = code


def of_status(name: str) -> int:
    """Return the exit code of a gRPC status."""
    return STATUS_CODES.get(name, FAILED)


def epilog() -> str:
    """Return the table for `--help`."""
    return "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items()) + "."
