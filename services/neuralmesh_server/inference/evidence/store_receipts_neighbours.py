"""The receipts of other processes of the same node, which have folders of their own: only read, and never repaired.

What a neighbour has not written yet is not there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from neuralmesh_server.inference.evidence.store_receipts_segment import observed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuralmesh_server.inference.evidence.receipts import Receipt


class ReceiptNeighbours:
    """See neuralmesh_server.inference.evidence.receipts.Neighbours.

    Args:
        folders: Folder of the receipts of each process, by the name under which it makes predictions.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders

    def find(self, node: str, identity: bytes) -> Receipt | None:
        """Return the receipt of a prediction that a neighbour made, with what is kept of it."""
        folder = self._folders.get(node)
        if folder is None:
            return None
        for path in sorted(folder.glob("*/*.seg")):
            try:
                segment = observed(path)
            except FileNotFoundError:  # its time was over a moment ago
                continue
            if segment.may_hold(identity):
                found = segment.find(identity, segment.size)
                if found is not None:
                    return replace(found, node=node)
        return None
