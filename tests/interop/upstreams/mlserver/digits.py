"""A packed network's arithmetic as an MLServer runtime: the weights are in signs.npy beside this file."""

from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Digits(MLModel):
    """Scores are signs of the features times signs of the weights; the label is the greatest."""

    async def load(self) -> bool:
        """Read the weights."""
        self._signs = np.load(Path(__file__).parent / "signs.npy").T.astype(np.float32)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer with NumPy's codec, which writes vectors as [n, 1]."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        scores = np.where(rows >= 0, np.float32(1), np.float32(-1)) @ self._signs
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("label", scores.argmax(axis=1)),
                NumpyCodec.encode_output("scores", scores),
            ],
        )
