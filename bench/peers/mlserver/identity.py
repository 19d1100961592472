"""An MLServer runtime with nothing in it: an array comes in, the same array goes out."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Identity(MLModel):
    """The first input of a request, as an array, is the output of its answer."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer with the input, read and written with MLServer's own codec as by any model that computes on arrays."""
        array = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("output", array)])
