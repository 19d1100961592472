"""Answers as bytes, for who passes them on or compares them and needs no message. Stands in for a message class."""

from __future__ import annotations


class RawAnswer(bytes):
    """What a method answered, serialised."""

    __slots__ = ()

    @staticmethod
    def FromString(data: bytes) -> bytes:  # noqa: N802 - the name that message classes have
        """Return the bytes themselves."""
        return data
