"""Data sets of rows: a folder of files frozen by content, and ranges of rows read with the digest of their content.

It knows neither models nor jobs. The labor array plans with it, and its workers read with it.
"""

from neuralmesh_server.datasets.block import Block, Ragged, Rejected
from neuralmesh_server.datasets.fitting import Fitted, RowShape, RowType, fit
from neuralmesh_server.datasets.freezing import DataSet, FrozenData, FrozenFile, Progress
from neuralmesh_server.datasets.reading import Reader, read
from neuralmesh_server.datasets.roles import ColumnRoles

__all__ = [
    "Block",
    "ColumnRoles",
    "DataSet",
    "Fitted",
    "FrozenData",
    "FrozenFile",
    "Progress",
    "Ragged",
    "Reader",
    "Rejected",
    "RowShape",
    "RowType",
    "fit",
    "read",
]
