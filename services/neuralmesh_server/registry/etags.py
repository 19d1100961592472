"""Compare-and-set: the etag of whatever a revision changed last, and the refusal of a stale one."""

from __future__ import annotations

from neuralmesh_server.errors import AbortedError


def etag(revision: int) -> str:
    """Return the etag of what a revision changed last; 0 stands for what does not exist."""
    return f'"{revision}"'


ABSENT = etag(0)


def check(expected: str, actual: str, what: str, **about: str) -> None:
    """Raise ETAG_MISMATCH where a caller names an etag, and it is not the current one.

    Args:
        expected: What the caller saw; empty for whatever there is.
        actual: The current one.
        what: Whose etag it is, for the message.
        about: The same for the metadata.
    """
    if expected and expected != actual:
        raise AbortedError(
            "ETAG_MISMATCH",
            f"{what} has etag {actual}, not {expected!a}",
            expected=expected,
            actual=actual,
            **about,
        )
