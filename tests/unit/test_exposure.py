"""Which versions a move exposes more than before."""

import pytest

from neuralmesh_server.exposure import Exposure, brought_in


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (Exposure(1), Exposure(1), []),
        (Exposure(1), Exposure(2), [2]),
        (Exposure(1), Exposure(1, 3, 100), [3]),
        (Exposure(1), Exposure(1, 3, 0), []),
        (Exposure(1, 3, 100), Exposure(1, 3, 100), []),
        (Exposure(1, 3, 100), Exposure(1, 3, 99), []),
        (Exposure(1, 3, 100), Exposure(1, 3, 101), [3]),
        (Exposure(1, 3, 100), Exposure(1, 4, 1), [4]),
        (Exposure(1, 3, 100), Exposure(3), [3]),
        (Exposure(1, 3, 100), Exposure(3, 1, 500), [3]),
        (Exposure(1), Exposure(1, shadow=4), [4]),
        (Exposure(1, shadow=4), Exposure(1, shadow=4), []),
        (Exposure(1, 3, 100), Exposure(1, shadow=3), []),
        (Exposure(1, 3, 100), Exposure(1, 3, 100, shadow=4), [4]),
        (Exposure(1), Exposure(2, 3, 100, shadow=4), [2, 3, 4]),
        (Exposure(1), Exposure(2, 3, 100, shadow=3), [2, 3]),
        (Exposure(1, 3, 100), Exposure(1), []),
    ],
)
def test_what_a_move_exposes_more(before: Exposure, after: Exposure, found: list[int]) -> None:
    """A new stable version, a new or wider canary and a new shadow, each once; narrowing and ending expose nothing."""
    assert brought_in(before, after) == found
