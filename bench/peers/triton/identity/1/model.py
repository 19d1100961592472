"""Triton's Python backend with nothing in it: what comes in goes out."""

import triton_python_backend_utils as pb


class TritonPythonModel:
    """One tensor in, the same tensor out."""

    def execute(self, requests):
        """Answer each request with its own input."""
        return [
            pb.InferenceResponse([pb.Tensor("output", pb.get_input_tensor_by_name(request, "input").as_numpy())])
            for request in requests
        ]
