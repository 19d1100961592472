import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Histogram(_message.Message):
    __slots__ = ("scale", "indexes", "counts", "zero_count", "sum", "min", "max")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    ZERO_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUM_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    scale: int
    indexes: _containers.RepeatedScalarFieldContainer[int]
    counts: _containers.RepeatedScalarFieldContainer[int]
    zero_count: int
    sum: float
    min: float
    max: float
    def __init__(self, scale: _Optional[int] = ..., indexes: _Optional[_Iterable[int]] = ..., counts: _Optional[_Iterable[int]] = ..., zero_count: _Optional[int] = ..., sum: _Optional[float] = ..., min: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...

class VersionDelta(_message.Message):
    __slots__ = ("model", "version", "digest", "requests", "rows", "errors", "latency_seconds")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    digest: str
    requests: int
    rows: int
    errors: _containers.ScalarMap[str, int]
    latency_seconds: Histogram
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., requests: _Optional[int] = ..., rows: _Optional[int] = ..., errors: _Optional[_Mapping[str, int]] = ..., latency_seconds: _Optional[_Union[Histogram, _Mapping]] = ...) -> None: ...

class PredictionLabels(_message.Message):
    __slots__ = ("model", "version", "prediction_ids", "row_counts", "int_labels", "bytes_labels")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_IDS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNTS_FIELD_NUMBER: _ClassVar[int]
    INT_LABELS_FIELD_NUMBER: _ClassVar[int]
    BYTES_LABELS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    prediction_ids: _containers.RepeatedScalarFieldContainer[str]
    row_counts: _containers.RepeatedScalarFieldContainer[int]
    int_labels: _containers.RepeatedScalarFieldContainer[int]
    bytes_labels: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., prediction_ids: _Optional[_Iterable[str]] = ..., row_counts: _Optional[_Iterable[int]] = ..., int_labels: _Optional[_Iterable[int]] = ..., bytes_labels: _Optional[_Iterable[bytes]] = ...) -> None: ...

class LoadedVersion(_message.Message):
    __slots__ = ("model", "version", "digest", "state", "reason", "size_bytes", "aliases")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[LoadedVersion.State]
        STATE_LOADING: _ClassVar[LoadedVersion.State]
        STATE_READY: _ClassVar[LoadedVersion.State]
        STATE_FAILED: _ClassVar[LoadedVersion.State]
        STATE_UNLOADED: _ClassVar[LoadedVersion.State]
    STATE_UNSPECIFIED: LoadedVersion.State
    STATE_LOADING: LoadedVersion.State
    STATE_READY: LoadedVersion.State
    STATE_FAILED: LoadedVersion.State
    STATE_UNLOADED: LoadedVersion.State
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    digest: str
    state: LoadedVersion.State
    reason: str
    size_bytes: int
    aliases: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., state: _Optional[_Union[LoadedVersion.State, str]] = ..., reason: _Optional[str] = ..., size_bytes: _Optional[int] = ..., aliases: _Optional[_Iterable[str]] = ...) -> None: ...

class IngestDeltaRequest(_message.Message):
    __slots__ = ("node", "epoch", "sequence", "applied_revision", "uptime", "versions", "predictions", "loaded", "unresolved_errors", "dropped_predictions", "final", "rollouts", "lost_receipts")
    class UnresolvedErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    APPLIED_REVISION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    UNRESOLVED_ERRORS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    ROLLOUTS_FIELD_NUMBER: _ClassVar[int]
    LOST_RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    node: str
    epoch: int
    sequence: int
    applied_revision: int
    uptime: _duration_pb2.Duration
    versions: _containers.RepeatedCompositeFieldContainer[VersionDelta]
    predictions: _containers.RepeatedCompositeFieldContainer[PredictionLabels]
    loaded: _containers.RepeatedCompositeFieldContainer[LoadedVersion]
    unresolved_errors: _containers.ScalarMap[str, int]
    dropped_predictions: int
    final: bool
    rollouts: _containers.RepeatedCompositeFieldContainer[RolloutDelta]
    lost_receipts: int
    def __init__(self, node: _Optional[str] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., applied_revision: _Optional[int] = ..., uptime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., versions: _Optional[_Iterable[_Union[VersionDelta, _Mapping]]] = ..., predictions: _Optional[_Iterable[_Union[PredictionLabels, _Mapping]]] = ..., loaded: _Optional[_Iterable[_Union[LoadedVersion, _Mapping]]] = ..., unresolved_errors: _Optional[_Mapping[str, int]] = ..., dropped_predictions: _Optional[int] = ..., final: _Optional[bool] = ..., rollouts: _Optional[_Iterable[_Union[RolloutDelta, _Mapping]]] = ..., lost_receipts: _Optional[int] = ...) -> None: ...

class ArmDelta(_message.Message):
    __slots__ = ("requests", "units", "failures", "failed_units")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    FAILED_UNITS_FIELD_NUMBER: _ClassVar[int]
    requests: int
    units: int
    failures: int
    failed_units: int
    def __init__(self, requests: _Optional[int] = ..., units: _Optional[int] = ..., failures: _Optional[int] = ..., failed_units: _Optional[int] = ...) -> None: ...

class UnitFailure(_message.Message):
    __slots__ = ("unit", "canary", "code", "offset_ms")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_MS_FIELD_NUMBER: _ClassVar[int]
    unit: int
    canary: bool
    code: str
    offset_ms: int
    def __init__(self, unit: _Optional[int] = ..., canary: _Optional[bool] = ..., code: _Optional[str] = ..., offset_ms: _Optional[int] = ...) -> None: ...

class ShadowDelta(_message.Message):
    __slots__ = ("version", "compared", "agreed", "failed", "dropped", "max_output_difference")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    AGREED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    version: int
    compared: int
    agreed: int
    failed: int
    dropped: int
    max_output_difference: float
    def __init__(self, version: _Optional[int] = ..., compared: _Optional[int] = ..., agreed: _Optional[int] = ..., failed: _Optional[int] = ..., dropped: _Optional[int] = ..., max_output_difference: _Optional[float] = ...) -> None: ...

class RolloutDelta(_message.Message):
    __slots__ = ("model", "alias", "revision", "stable_version", "canary_version", "share_ppm", "stable", "canary", "shadow", "first_failures", "dropped_failures", "unassigned", "forgotten_units")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STABLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CANARY_VERSION_FIELD_NUMBER: _ClassVar[int]
    SHARE_PPM_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    FIRST_FAILURES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FAILURES_FIELD_NUMBER: _ClassVar[int]
    UNASSIGNED_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_UNITS_FIELD_NUMBER: _ClassVar[int]
    model: str
    alias: str
    revision: int
    stable_version: int
    canary_version: int
    share_ppm: int
    stable: ArmDelta
    canary: ArmDelta
    shadow: ShadowDelta
    first_failures: _containers.RepeatedCompositeFieldContainer[UnitFailure]
    dropped_failures: int
    unassigned: int
    forgotten_units: int
    def __init__(self, model: _Optional[str] = ..., alias: _Optional[str] = ..., revision: _Optional[int] = ..., stable_version: _Optional[int] = ..., canary_version: _Optional[int] = ..., share_ppm: _Optional[int] = ..., stable: _Optional[_Union[ArmDelta, _Mapping]] = ..., canary: _Optional[_Union[ArmDelta, _Mapping]] = ..., shadow: _Optional[_Union[ShadowDelta, _Mapping]] = ..., first_failures: _Optional[_Iterable[_Union[UnitFailure, _Mapping]]] = ..., dropped_failures: _Optional[int] = ..., unassigned: _Optional[int] = ..., forgotten_units: _Optional[int] = ...) -> None: ...

class RolloutMetrics(_message.Message):
    __slots__ = ("model", "alias", "revision", "stable_version", "canary_version", "share_ppm", "stable", "canary", "shadow", "unassigned", "dropped_failures", "forgotten_units")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STABLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CANARY_VERSION_FIELD_NUMBER: _ClassVar[int]
    SHARE_PPM_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    UNASSIGNED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FAILURES_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_UNITS_FIELD_NUMBER: _ClassVar[int]
    model: str
    alias: str
    revision: int
    stable_version: int
    canary_version: int
    share_ppm: int
    stable: ArmDelta
    canary: ArmDelta
    shadow: ShadowDelta
    unassigned: int
    dropped_failures: int
    forgotten_units: int
    def __init__(self, model: _Optional[str] = ..., alias: _Optional[str] = ..., revision: _Optional[int] = ..., stable_version: _Optional[int] = ..., canary_version: _Optional[int] = ..., share_ppm: _Optional[int] = ..., stable: _Optional[_Union[ArmDelta, _Mapping]] = ..., canary: _Optional[_Union[ArmDelta, _Mapping]] = ..., shadow: _Optional[_Union[ShadowDelta, _Mapping]] = ..., unassigned: _Optional[int] = ..., dropped_failures: _Optional[int] = ..., forgotten_units: _Optional[int] = ...) -> None: ...

class ListRolloutMetricsRequest(_message.Message):
    __slots__ = ("model", "page_size", "page_token")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    model: str
    page_size: int
    page_token: str
    def __init__(self, model: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRolloutMetricsResponse(_message.Message):
    __slots__ = ("rollouts", "next_page_token")
    ROLLOUTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rollouts: _containers.RepeatedCompositeFieldContainer[RolloutMetrics]
    next_page_token: str
    def __init__(self, rollouts: _Optional[_Iterable[_Union[RolloutMetrics, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class IngestDeltaResponse(_message.Message):
    __slots__ = ("committed_sequence", "duplicate")
    COMMITTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    committed_sequence: int
    duplicate: bool
    def __init__(self, committed_sequence: _Optional[int] = ..., duplicate: _Optional[bool] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("int_value", "bytes_value")
    INT_VALUE_FIELD_NUMBER: _ClassVar[int]
    BYTES_VALUE_FIELD_NUMBER: _ClassVar[int]
    int_value: int
    bytes_value: bytes
    def __init__(self, int_value: _Optional[int] = ..., bytes_value: _Optional[bytes] = ...) -> None: ...

class RecordOutcomeRequest(_message.Message):
    __slots__ = ("prediction_id", "labels")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, prediction_id: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class RecordOutcomeResponse(_message.Message):
    __slots__ = ("state", "model", "version", "correct_rows")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[RecordOutcomeResponse.State]
        STATE_COUNTED: _ClassVar[RecordOutcomeResponse.State]
        STATE_PENDING: _ClassVar[RecordOutcomeResponse.State]
    STATE_UNSPECIFIED: RecordOutcomeResponse.State
    STATE_COUNTED: RecordOutcomeResponse.State
    STATE_PENDING: RecordOutcomeResponse.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CORRECT_ROWS_FIELD_NUMBER: _ClassVar[int]
    state: RecordOutcomeResponse.State
    model: str
    version: int
    correct_rows: int
    def __init__(self, state: _Optional[_Union[RecordOutcomeResponse.State, str]] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., correct_rows: _Optional[int] = ...) -> None: ...

class VersionMetrics(_message.Message):
    __slots__ = ("model", "version", "digest", "requests", "rows", "errors", "errors_by_code", "latency_p50_seconds", "latency_p99_seconds", "outcomes", "correct", "accuracy", "size_bytes", "latency_seconds", "ready_nodes", "first_request_time", "last_request_time")
    class ErrorsByCodeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_BY_CODE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_P50_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_P99_SECONDS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    CORRECT_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LATENCY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    READY_NODES_FIELD_NUMBER: _ClassVar[int]
    FIRST_REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    digest: str
    requests: int
    rows: int
    errors: int
    errors_by_code: _containers.ScalarMap[str, int]
    latency_p50_seconds: float
    latency_p99_seconds: float
    outcomes: int
    correct: int
    accuracy: float
    size_bytes: int
    latency_seconds: Histogram
    ready_nodes: _containers.RepeatedScalarFieldContainer[str]
    first_request_time: _timestamp_pb2.Timestamp
    last_request_time: _timestamp_pb2.Timestamp
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., requests: _Optional[int] = ..., rows: _Optional[int] = ..., errors: _Optional[int] = ..., errors_by_code: _Optional[_Mapping[str, int]] = ..., latency_p50_seconds: _Optional[float] = ..., latency_p99_seconds: _Optional[float] = ..., outcomes: _Optional[int] = ..., correct: _Optional[int] = ..., accuracy: _Optional[float] = ..., size_bytes: _Optional[int] = ..., latency_seconds: _Optional[_Union[Histogram, _Mapping]] = ..., ready_nodes: _Optional[_Iterable[str]] = ..., first_request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetVersionMetricsRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetVersionMetricsResponse(_message.Message):
    __slots__ = ("metrics",)
    METRICS_FIELD_NUMBER: _ClassVar[int]
    metrics: VersionMetrics
    def __init__(self, metrics: _Optional[_Union[VersionMetrics, _Mapping]] = ...) -> None: ...

class ListVersionMetricsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListVersionMetricsResponse(_message.Message):
    __slots__ = ("metrics", "next_page_token")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[VersionMetrics]
    next_page_token: str
    def __init__(self, metrics: _Optional[_Iterable[_Union[VersionMetrics, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CompareVersionsRequest(_message.Message):
    __slots__ = ("baseline", "candidate")
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    baseline: str
    candidate: str
    def __init__(self, baseline: _Optional[str] = ..., candidate: _Optional[str] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class CompareVersionsResponse(_message.Message):
    __slots__ = ("baseline", "candidate", "accuracy_difference", "accuracy_difference_interval", "error_rate_difference", "error_rate_difference_interval", "latency_p50_ratio", "latency_p99_ratio")
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_DIFFERENCE_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_DIFFERENCE_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    LATENCY_P50_RATIO_FIELD_NUMBER: _ClassVar[int]
    LATENCY_P99_RATIO_FIELD_NUMBER: _ClassVar[int]
    baseline: VersionMetrics
    candidate: VersionMetrics
    accuracy_difference: float
    accuracy_difference_interval: Interval
    error_rate_difference: float
    error_rate_difference_interval: Interval
    latency_p50_ratio: float
    latency_p99_ratio: float
    def __init__(self, baseline: _Optional[_Union[VersionMetrics, _Mapping]] = ..., candidate: _Optional[_Union[VersionMetrics, _Mapping]] = ..., accuracy_difference: _Optional[float] = ..., accuracy_difference_interval: _Optional[_Union[Interval, _Mapping]] = ..., error_rate_difference: _Optional[float] = ..., error_rate_difference_interval: _Optional[_Union[Interval, _Mapping]] = ..., latency_p50_ratio: _Optional[float] = ..., latency_p99_ratio: _Optional[float] = ...) -> None: ...

class GetOperationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OperationsRow(_message.Message):
    __slots__ = ("key", "title", "value", "unit", "status", "detail")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[OperationsRow.Status]
        STATUS_OK: _ClassVar[OperationsRow.Status]
        STATUS_DEGRADED: _ClassVar[OperationsRow.Status]
        STATUS_DOWN: _ClassVar[OperationsRow.Status]
        STATUS_NO_DATA: _ClassVar[OperationsRow.Status]
    STATUS_UNSPECIFIED: OperationsRow.Status
    STATUS_OK: OperationsRow.Status
    STATUS_DEGRADED: OperationsRow.Status
    STATUS_DOWN: OperationsRow.Status
    STATUS_NO_DATA: OperationsRow.Status
    KEY_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    key: str
    title: str
    value: float
    unit: str
    status: OperationsRow.Status
    detail: str
    def __init__(self, key: _Optional[str] = ..., title: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ..., status: _Optional[_Union[OperationsRow.Status, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("node", "running", "start_time", "last_seen_time", "applied_revision", "loaded", "gaps", "dropped_predictions", "uptime_percent", "lost_receipts")
    NODE_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    APPLIED_REVISION_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    UPTIME_PERCENT_FIELD_NUMBER: _ClassVar[int]
    LOST_RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    node: str
    running: bool
    start_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    applied_revision: int
    loaded: _containers.RepeatedCompositeFieldContainer[LoadedVersion]
    gaps: int
    dropped_predictions: int
    uptime_percent: float
    lost_receipts: int
    def __init__(self, node: _Optional[str] = ..., running: _Optional[bool] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., applied_revision: _Optional[int] = ..., loaded: _Optional[_Iterable[_Union[LoadedVersion, _Mapping]]] = ..., gaps: _Optional[int] = ..., dropped_predictions: _Optional[int] = ..., uptime_percent: _Optional[float] = ..., lost_receipts: _Optional[int] = ...) -> None: ...

class GetOperationsResponse(_message.Message):
    __slots__ = ("rows", "nodes")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[OperationsRow]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeStatus]
    def __init__(self, rows: _Optional[_Iterable[_Union[OperationsRow, _Mapping]]] = ..., nodes: _Optional[_Iterable[_Union[NodeStatus, _Mapping]]] = ...) -> None: ...
