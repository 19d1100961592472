"""The rows of the kernel's speed table, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.kernel.rows.gf2_elimination import Gf2Elimination
from bench.kernel.rows.gf2_product import Gf2Product
from bench.kernel.rows.nearest import Nearest
from bench.kernel.rows.network import Network
from bench.kernel.rows.packing import Packing
from bench.kernel.rows.product import XnorProduct
from bench.kernel.rows.scan import Scan
from bench.kernel.rows.served_index import ServedIndex
from bench.kernel.rows.transform import Transform

if TYPE_CHECKING:
    from bench.row import Row

ROWS: tuple[type[Row], ...] = (
    XnorProduct,
    Nearest,
    Scan,
    Gf2Product,
    Gf2Elimination,
    Transform,
    Packing,
    Network,
    ServedIndex,
)
