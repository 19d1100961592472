"""The Makefile keeps the commands that the documents name."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "Makefile").read_text()
RULES = re.findall(r"^([a-z][a-z-]*):", TEXT, re.MULTILINE)


def test_every_phony_target_has_one_rule() -> None:
    """A target that is declared but has no rule does nothing and says so to nobody."""
    declared = re.search(r"^\.PHONY: (.*)$", TEXT, re.MULTILINE)
    assert declared is not None
    assert sorted(declared[1].split()) == sorted(RULES)
