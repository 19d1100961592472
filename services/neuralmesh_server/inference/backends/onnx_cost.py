"""Which ONNX operators take a time that follows from the shapes of their inputs alone, and which draw lots.

A model of such operators is measured once and then known. All others may loop, branch, or make tensors whose size
depends on values (Loop, If, Scan, NonZero, Tile, Range, Resize ...), or are not known to this list; models that use one
of them run in threads, where a run can be ended. So a missing entry costs some microseconds, and a wrong one would hold
up every caller: when in doubt, leave it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_ELEMENTWISE: Final = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil
    Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf
    IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu
    Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu Where Xor
"""
_LAYERS: Final = """
    AveragePool BatchNormalization Conv ConvInteger ConvTranspose DequantizeLinear DynamicQuantizeLinear Einsum Gemm
    GlobalAveragePool GlobalLpPool GlobalMaxPool GroupNormalization Hardmax InstanceNormalization LRN LayerNormalization
    LogSoftmax LpNormalization LpPool MatMul MatMulInteger MaxPool MeanVarianceNormalization QLinearConv QLinearMatMul
    QuantizeLinear Softmax
"""
_REDUCTIONS: Final = """
    ArgMax ArgMin CumSum ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare
"""
_SHAPES: Final = """
    Concat Constant DepthToSpace Dropout Flatten Gather GatherElements GatherND Reshape Shape Size SpaceToDepth Squeeze
    Transpose Trilu Unsqueeze
"""
_CLASSICAL: Final = """
    ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer LabelEncoder LinearClassifier LinearRegressor Normalizer
    OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsembleClassifier TreeEnsembleRegressor
"""

PREDICTABLE: Final = frozenset(
    [("", name) for group in (_ELEMENTWISE, _LAYERS, _REDUCTIONS, _SHAPES) for name in group.split()]
    + [("ai.onnx.ml", name) for name in _CLASSICAL.split()]
)
"""Domain and type of the operators."""

_RANDOM: Final = "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike"
RANDOM: Final = frozenset(("", name) for name in _RANDOM.split())
"""Domain and type of the operators whose results do not repeat."""


def is_repeatable(operators: Collection[tuple[str, str]]) -> bool:
    """Say whether a second run on the same inputs gives the same outputs, as far as operators decide that."""
    return RANDOM.isdisjoint(operators)


def is_predictable(operators: Collection[tuple[str, str]]) -> bool:
    """Say whether the time of a run follows from the shapes of a model's inputs."""
    return PREDICTABLE.issuperset(operators)
