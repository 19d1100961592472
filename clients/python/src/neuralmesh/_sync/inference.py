# Generated from _async/inference.py by tools/unasync.py; never edited.
# ruff: noqa: UP028, PYI016, RET504, TRY300, RUF100, E501
"""The inference service's methods, one for each RPC of the Open Inference Protocol, and `infer` on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh import oip
from neuralmesh._raw import RawAnswer
from neuralmesh.prediction import Parameter, Prediction, build_request, read_response

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np

    from neuralmesh._sync.connection import Connection
    from neuralmesh.tensors import Tensor


class Inference:
    """Predictions and what a node serves.

    A version is a number, an alias, or empty for the alias `production`, else the highest version that is ready.
    Messages are those of `neuralmesh.oip`. Every method raises `neuralmesh.exceptions`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def address(self) -> str:
        """Where the calls go, `host:port`."""
        return self._connection.address

    def infer(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray[Any, Any] | Tensor],
        *,
        version: int | str = "",
        outputs: Sequence[str] = (),
        request_id: str = "",
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server as the deadline
    ) -> Prediction:
        """Run a version on arrays.

        Args:
            model: Name of the model.
            inputs: Array of each input, of exactly the signature's type; BF16 takes `Tensor(uint16_array, "BF16")`.
            version: See the class.
            outputs: Outputs wanted; empty for all.
            request_id: The caller's own id; comes back in the prediction.
            parameters: Parameters of the request.
            timeout: Seconds until the deadline, when not the client's own.
        """
        request = build_request(
            model, inputs, version=str(version), outputs=outputs, request_id=request_id, parameters=parameters
        )
        return read_response(self.model_infer(request, timeout=timeout))

    def server_live(self) -> bool:
        """Say whether the process runs."""
        return bool((self._connection.unary("ServerLive", oip.ServerLiveResponse, oip.ServerLiveRequest())).live)

    def server_ready(self) -> bool:
        """Say whether the server answers predictions."""
        return bool((self._connection.unary("ServerReady", oip.ServerReadyResponse, oip.ServerReadyRequest())).ready)

    def model_ready(self, model: str, version: int | str = "") -> bool:
        """Say whether a version is ready; False when it is unknown."""
        request = oip.ModelReadyRequest(name=model, version=str(version))
        return bool((self._connection.unary("ModelReady", oip.ModelReadyResponse, request)).ready)

    def server_metadata(self) -> Any:
        """Return the server's name, version and extensions."""
        return self._connection.unary("ServerMetadata", oip.ServerMetadataResponse, oip.ServerMetadataRequest())

    def model_metadata(self, model: str, version: int | str = "") -> Any:
        """Return the signature of a version."""
        request = oip.ModelMetadataRequest(name=model, version=str(version))
        return self._connection.unary("ModelMetadata", oip.ModelMetadataResponse, request)

    def model_infer(
        self,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server as the deadline
    ) -> Any:
        """Run a version; `request` is a ModelInferRequest or its bytes."""
        return self._connection.unary("ModelInfer", oip.ModelInferResponse, request, timeout=timeout)

    def infer_bytes(
        self,
        request: bytes,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server as the deadline
    ) -> bytes:
        """Run a version: bytes of a ModelInferRequest to bytes of a ModelInferResponse, neither of them parsed."""
        return self._connection.unary("ModelInfer", RawAnswer, request, timeout=timeout)

    def model_stream_infer(self, requests: Iterable[Any] | Iterable[Any]) -> Iterator[Any]:
        """Run requests in order; failures come in the answers' `error_message`."""
        return self._connection.exchange("ModelStreamInfer", oip.ModelStreamInferResponse, requests)

    def model_config(self, model: str, version: int | str = "") -> Any:
        """Return the configuration of a version in Triton's form."""
        request = oip.ModelConfigRequest(name=model, version=str(version))
        return self._connection.unary("ModelConfig", oip.ModelConfigResponse, request)

    def model_statistics(self, model: str = "", version: int | str = "") -> Any:
        """Return what versions did since the server started."""
        request = oip.ModelStatisticsRequest(name=model, version=str(version))
        return self._connection.unary("ModelStatistics", oip.ModelStatisticsResponse, request)

    def repository_index(self, *, ready: bool = False) -> Any:
        """List the versions that the node knows, or only those that are ready."""
        return self._connection.unary(
            "RepositoryIndex", oip.RepositoryIndexResponse, oip.RepositoryIndexRequest(ready=ready)
        )

    def repository_model_load(self, model: str) -> Any:
        """Ask the node to load a model."""
        request = oip.RepositoryModelLoadRequest(model_name=model)
        return self._connection.unary("RepositoryModelLoad", oip.RepositoryModelLoadResponse, request)

    def repository_model_unload(self, model: str) -> Any:
        """Ask the node to unload a model."""
        request = oip.RepositoryModelUnloadRequest(model_name=model)
        return self._connection.unary("RepositoryModelUnload", oip.RepositoryModelUnloadResponse, request)

    def trace_setting(self, request: Any) -> Any:
        """Not offered by this suite's own nodes; a Triton server's trace settings."""
        return self._connection.unary("TraceSetting", oip.TraceSettingResponse, request)

    def log_settings(self, request: Any) -> Any:
        """Not offered by this suite's own nodes; a Triton server's log settings."""
        return self._connection.unary("LogSettings", oip.LogSettingsResponse, request)

    def system_shared_memory_status(self, request: Any) -> Any:
        """Not offered by this suite's own nodes; a Triton server's regions of system shared memory."""
        return self._connection.unary("SystemSharedMemoryStatus", oip.SystemSharedMemoryStatusResponse, request)

    def system_shared_memory_register(self, request: Any) -> Any:
        """Not offered by this suite's own nodes; a Triton server's one more region of system shared memory."""
        return self._connection.unary("SystemSharedMemoryRegister", oip.SystemSharedMemoryRegisterResponse, request)

    def system_shared_memory_unregister(self, request: Any) -> Any:
        """Not offered by this suite's own nodes; a Triton server's regions of system shared memory fewer."""
        return self._connection.unary("SystemSharedMemoryUnregister", oip.SystemSharedMemoryUnregisterResponse, request)

    def cuda_shared_memory_status(self, request: Any) -> Any:
        """Not offered by this suite's own nodes; a Triton server's regions of CUDA shared memory."""
        return self._connection.unary("CudaSharedMemoryStatus", oip.CudaSharedMemoryStatusResponse, request)

    def cuda_shared_memory_register(self, request: Any) -> Any:
        """Not offered by this suite's own nodes; a Triton server's one more region of CUDA shared memory."""
        return self._connection.unary("CudaSharedMemoryRegister", oip.CudaSharedMemoryRegisterResponse, request)

    def cuda_shared_memory_unregister(self, request: Any) -> Any:
        """Not offered by this suite's own nodes; a Triton server's regions of CUDA shared memory fewer."""
        return self._connection.unary("CudaSharedMemoryUnregister", oip.CudaSharedMemoryUnregisterResponse, request)
