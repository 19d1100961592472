"""A version's configuration in the form that Triton's clients read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh import oip
from neuralmesh_server.inference.tensors import DTYPES
from neuralmesh_server.runtime.transport import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from neuralmesh_server.inference.serving import LoadedModel, Route, Snapshot
    from neuralmesh_server.inference.tensors import TensorSpec

_DEFAULT_FILES = {
    "onnx": "model.onnx",
    "liam.binary_index": "model.safetensors",
    "liam.binary_network": "model.safetensors",
    "liam.signal_transform": "model.safetensors",
}
_LARGEST = 2**31 - 1


def config(snapshot: Snapshot, route: Route) -> Any:
    """Return the ModelConfigResponse of what a route leads to: its version, or the stable one of a rollout."""
    loaded = route.served.loaded
    rows = max_batch_size(loaded)
    made = oip.ModelConfig(
        name=loaded.model,
        platform=loaded.kind,
        backend=loaded.kind,
        max_batch_size=rows,
        version_policy={"specific": {"versions": snapshot.ready_versions(loaded.model)}},
        input=[_tensor(spec, batched=rows > 0) for spec in loaded.signature.inputs],
        output=[_tensor(spec, batched=rows > 0) for spec in loaded.signature.outputs],
        default_model_filename=_DEFAULT_FILES.get(loaded.kind, ""),
        parameters={
            "digest": {"string_value": loaded.digest},
            "version": {"string_value": str(loaded.version)},
            "kind": {"string_value": loaded.kind},
            "exact": {"string_value": loaded.runner.exact},
        },
    )
    batching = route.policy.batching
    if batching is not None and rows and not loaded.batching_exact:
        made.dynamic_batching.preferred_batch_size.append(batching.max_rows)
        made.dynamic_batching.max_queue_delay_microseconds = batching.max_delay_us
    return oip.ModelConfigResponse(config=made)


def max_batch_size(loaded: LoadedModel) -> int:
    """Return the rows that a message has room for, 0 when not every tensor counts rows in its first dimension."""
    specs = (*loaded.signature.inputs, *loaded.signature.outputs)
    if not specs or loaded.runner.ragged or not all(spec.batched for spec in specs):
        return 0
    widths = (sum(_row_bytes(spec) for spec in side) for side in (loaded.signature.inputs, loaded.signature.outputs))
    return max(1, min(MAX_MESSAGE_BYTES // max(*widths, 1), _LARGEST))


def _row_bytes(spec: TensorSpec) -> int:
    size = 4 if spec.datatype == "BYTES" else DTYPES[spec.datatype].itemsize
    for length in spec.shape[1:]:
        size *= max(length, 1)
    return size


def _tensor(spec: TensorSpec, *, batched: bool) -> dict[str, Any]:
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": list(spec.shape[1:] if batched else spec.shape)}
