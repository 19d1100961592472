"""How the tests of the command line start processes and read what they say."""

from __future__ import annotations

import os
import sys
from typing import Any

PROGRAM = [sys.executable, "-m", "neuralmesh_server"]


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would steer the suite."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NEURALMESH_")}


def read_announcement(stream: Any) -> dict[str, str]:
    """Read what `up` prints until it says what to type next; returns the addresses by service."""
    addresses = {}
    for line in stream:
        words = line.split()
        if len(words) == 2 and words[0] in {"registry", "inference", "metrics"}:
            addresses[words[0]] = words[1]
        if words == ["neuralmesh", "top"]:
            break
    return addresses
