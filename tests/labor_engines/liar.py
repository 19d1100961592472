"""A process that computes as all others do and then lies: `python -m tests.labor_engines.liar FD RESULTS`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neuralmesh_server.labor_engines import child
from neuralmesh_server.labor_engines.action import Actions, Computed
from neuralmesh_server.labor_engines.formats import Column

honest = Actions.compute


def lie(self: Actions, *arguments: object) -> Computed:
    """Return another label for the first row."""
    computed = honest(self, *arguments)
    columns = []
    for column in computed.columns:
        values = np.array(column.values)
        if column.name == "label" and len(values):
            values[0] += 1
        columns.append(Column(column.name, values))
    return replace(computed, columns=columns)


if __name__ == "__main__":
    Actions.compute = lie
    child.main()
