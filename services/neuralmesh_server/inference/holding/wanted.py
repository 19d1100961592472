"""Which versions a node is to hold, and in which order: a question to the registry's state, answered without acting."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from neuralmesh_server.inference.holding.replica import Replica

Key = tuple[str, int]


def versions(
    replica: Replica, effective: Mapping[tuple[str, str], int], unloaded: Collection[str], keep_newest: int
) -> list[Key]:
    """Return the versions to hold, the most urgent first.

    Args:
        replica: What the registry says.
        effective: The version that last answered for each alias, which answers until the named one is ready.
        unloaded: Models that the node is to leave alone.
        keep_newest: How many of the newest versions of a model are held beside those that aliases call for.
    """
    keys = named(replica, unloaded)
    aliases = replica.aliases
    keys += [(key[0], version) for key, version in effective.items() if key in aliases]
    keys += [(model, record.below[0]) for (model, _), record in aliases.items() if record.below]
    by_model: dict[str, list[int]] = {}
    for model, version in replica.versions:
        by_model.setdefault(model, []).append(version)
    for model, versions in by_model.items():
        keys += [(model, version) for version in sorted(versions, reverse=True)[:keep_newest]]
    return [key for key in dict.fromkeys(keys) if key in replica.versions and key[0] not in unloaded]


def named(replica: Replica, unloaded: Collection[str]) -> list[Key]:
    """Return the versions that aliases name, those that answer before canaries and shadows."""
    keys = [(model, record.version) for (model, _), record in replica.aliases.items()]
    keys += [(model, version) for (model, _), record in replica.aliases.items() for version in record.versions()]
    return [key for key in dict.fromkeys(keys) if key in replica.versions and key[0] not in unloaded]
