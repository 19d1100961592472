"""A packed network's arithmetic in Triton's Python backend: the weights are in signs.npy beside this file."""

from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    """Scores are signs of the features times signs of the weights; the label is the greatest."""

    def initialize(self, args):
        """Read the weights."""
        path = Path(args["model_repository"]) / args["model_version"] / "signs.npy"
        self._signs = np.load(path).T.astype(np.float32)

    def execute(self, requests):
        """Answer each request."""
        return [self._answer(pb.get_input_tensor_by_name(request, "input").as_numpy()) for request in requests]

    def _answer(self, rows):
        scores = np.where(rows >= 0, np.float32(1), np.float32(-1)) @ self._signs
        label, scores = pb.Tensor("label", scores.argmax(axis=1)), pb.Tensor("scores", scores)
        return pb.InferenceResponse([label, scores])
