"""A packed network's arithmetic as a KServe model: `python serve.py --grpc_port=N --http_port=N`.

The weights are in signs.npy beside this file. Metadata is KServe's own, which says nothing of inputs and outputs.
"""

from pathlib import Path

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Digits(Model):
    """Scores are signs of the features times signs of the weights; the label is the greatest."""

    def __init__(self) -> None:
        super().__init__("digits")
        self._signs = np.load(Path(__file__).parent / "signs.npy").T.astype(np.float32)
        self.ready = True

    def predict(self, payload: InferRequest, headers: dict | None = None) -> InferResponse:
        """Answer with typed contents."""
        rows = payload.inputs[0].as_numpy()
        scores = np.where(rows >= 0, np.float32(1), np.float32(-1)) @ self._signs
        outputs = []
        for name, datatype, array in (("label", "INT64", scores.argmax(axis=1)), ("scores", "FP32", scores)):
            output = InferOutput(name, list(array.shape), datatype)
            output.set_data_from_numpy(array, binary_data=False)
            outputs.append(output)
        return InferResponse(payload.id, self.name, outputs)


if __name__ == "__main__":
    ModelServer(workers=1).start([Digits()])
