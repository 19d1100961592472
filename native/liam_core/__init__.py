"""LIAM, the binary algebra kernel: bit-packed matrices, XNOR-popcount layers, searches and whole models in C.

NumPy in, NumPy out. The C library underneath is described in `native/include/liam.h`. Importing the package
starts the kernel; it raises `KernelError` if the environment variable LIAM_SIMD asks for a SIMD level that
this machine does not run.
"""

from liam_core import gf2, steps
from liam_core.algebra import BinaryAlgebra
from liam_core.bits import from_packbits, pack, to_packbits, unpack, words_for
from liam_core.bitwise import bit_and, bit_not, bit_or, bit_xor, kronecker, parity, popcount, rotate
from liam_core.capabilities import Capabilities, capabilities, set_level
from liam_core.definition import NetworkDefinition
from liam_core.engine import LaborIntelligenceEngine
from liam_core.errors import KernelError, ModelFormatError, ResultSizeError
from liam_core.hadamard import Rotation, walsh_hadamard
from liam_core.index import BinaryIndex
from liam_core.index_definition import IndexDefinition
from liam_core.index_profile import read_binary_index, save_binary_index, write_binary_index
from liam_core.linear import Linear
from liam_core.network import BinaryNetwork
from liam_core.profile import read_binary_network, save_binary_network, write_binary_network
from liam_core.search import BinaryCodes, Matches, Neighbours, rescore_vectors
from liam_core.signs import from_signs
from liam_core.steps import TransformDefinition
from liam_core.transform import SignalTransform
from liam_core.transform_profile import read_signal_transform, save_signal_transform, write_signal_transform
from liam_core.xnor import XnorWeights, xnor_dot

__all__ = [
    "BinaryAlgebra",
    "BinaryCodes",
    "BinaryIndex",
    "BinaryNetwork",
    "Capabilities",
    "IndexDefinition",
    "KernelError",
    "LaborIntelligenceEngine",
    "Linear",
    "Matches",
    "ModelFormatError",
    "Neighbours",
    "NetworkDefinition",
    "ResultSizeError",
    "Rotation",
    "SignalTransform",
    "TransformDefinition",
    "XnorWeights",
    "bit_and",
    "bit_not",
    "bit_or",
    "bit_xor",
    "capabilities",
    "from_packbits",
    "from_signs",
    "gf2",
    "kronecker",
    "pack",
    "parity",
    "popcount",
    "read_binary_index",
    "read_binary_network",
    "read_signal_transform",
    "rescore_vectors",
    "rotate",
    "save_binary_index",
    "save_binary_network",
    "save_signal_transform",
    "set_level",
    "steps",
    "to_packbits",
    "unpack",
    "walsh_hadamard",
    "words_for",
    "write_binary_index",
    "write_binary_network",
    "write_signal_transform",
    "xnor_dot",
]
