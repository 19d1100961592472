"""Request ids: a token that makes a repeat of a change return the first one's result."""

from __future__ import annotations

import uuid


def new_request_id() -> str:
    """Return a random id of 32 characters."""
    return uuid.uuid4().hex
