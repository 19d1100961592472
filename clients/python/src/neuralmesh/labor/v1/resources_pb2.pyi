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

class JobKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_KIND_UNSPECIFIED: _ClassVar[JobKind]
    JOB_KIND_INFER: _ClassVar[JobKind]
    JOB_KIND_EVALUATE: _ClassVar[JobKind]
    JOB_KIND_COMPARE: _ClassVar[JobKind]

class BadRows(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BAD_ROWS_UNSPECIFIED: _ClassVar[BadRows]
    BAD_ROWS_FAIL: _ClassVar[BadRows]
    BAD_ROWS_SKIP: _ClassVar[BadRows]

class OutputFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_FORMAT_UNSPECIFIED: _ClassVar[OutputFormat]
    OUTPUT_FORMAT_PARQUET: _ClassVar[OutputFormat]
    OUTPUT_FORMAT_ARROW: _ClassVar[OutputFormat]
    OUTPUT_FORMAT_SAFETENSORS: _ClassVar[OutputFormat]

class NumericsLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NUMERICS_LEVEL_UNSPECIFIED: _ClassVar[NumericsLevel]
    NUMERICS_LEVEL_EXACT: _ClassVar[NumericsLevel]
    NUMERICS_LEVEL_PINNED: _ClassVar[NumericsLevel]
    NUMERICS_LEVEL_UNVERIFIED: _ClassVar[NumericsLevel]

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_PLANNING: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_COMMITTED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
JOB_KIND_UNSPECIFIED: JobKind
JOB_KIND_INFER: JobKind
JOB_KIND_EVALUATE: JobKind
JOB_KIND_COMPARE: JobKind
BAD_ROWS_UNSPECIFIED: BadRows
BAD_ROWS_FAIL: BadRows
BAD_ROWS_SKIP: BadRows
OUTPUT_FORMAT_UNSPECIFIED: OutputFormat
OUTPUT_FORMAT_PARQUET: OutputFormat
OUTPUT_FORMAT_ARROW: OutputFormat
OUTPUT_FORMAT_SAFETENSORS: OutputFormat
NUMERICS_LEVEL_UNSPECIFIED: NumericsLevel
NUMERICS_LEVEL_EXACT: NumericsLevel
NUMERICS_LEVEL_PINNED: NumericsLevel
NUMERICS_LEVEL_UNVERIFIED: NumericsLevel
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_PLANNING: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_COMMITTED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState

class ColumnMapping(_message.Message):
    __slots__ = ("inputs", "label", "id")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Columns
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Columns, _Mapping]] = ...) -> None: ...
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.MessageMap[str, Columns]
    label: str
    id: str
    def __init__(self, inputs: _Optional[_Mapping[str, Columns]] = ..., label: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class Columns(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("kind", "version", "baseline", "data", "columns", "rows_per_shard", "outputs", "format", "bad_rows", "micro_batch", "audit_ppm", "priority", "skip_cache")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_SHARD_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    BAD_ROWS_FIELD_NUMBER: _ClassVar[int]
    MICRO_BATCH_FIELD_NUMBER: _ClassVar[int]
    AUDIT_PPM_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SKIP_CACHE_FIELD_NUMBER: _ClassVar[int]
    kind: JobKind
    version: str
    baseline: str
    data: str
    columns: ColumnMapping
    rows_per_shard: int
    outputs: _containers.RepeatedScalarFieldContainer[str]
    format: OutputFormat
    bad_rows: BadRows
    micro_batch: int
    audit_ppm: int
    priority: int
    skip_cache: bool
    def __init__(self, kind: _Optional[_Union[JobKind, str]] = ..., version: _Optional[str] = ..., baseline: _Optional[str] = ..., data: _Optional[str] = ..., columns: _Optional[_Union[ColumnMapping, _Mapping]] = ..., rows_per_shard: _Optional[int] = ..., outputs: _Optional[_Iterable[str]] = ..., format: _Optional[_Union[OutputFormat, str]] = ..., bad_rows: _Optional[_Union[BadRows, str]] = ..., micro_batch: _Optional[int] = ..., audit_ppm: _Optional[int] = ..., priority: _Optional[int] = ..., skip_cache: _Optional[bool] = ...) -> None: ...

class PlanSummary(_message.Message):
    __slots__ = ("plan_digest", "version", "version_digest", "baseline", "baseline_digest", "files", "rows", "bytes", "dataset_digest", "shards", "cached_shards", "cost", "cached_cost", "numerics_id", "numerics_level")
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    BASELINE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DATASET_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    CACHED_SHARDS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    CACHED_COST_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_ID_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_LEVEL_FIELD_NUMBER: _ClassVar[int]
    plan_digest: str
    version: str
    version_digest: str
    baseline: str
    baseline_digest: str
    files: int
    rows: int
    bytes: int
    dataset_digest: str
    shards: int
    cached_shards: int
    cost: int
    cached_cost: int
    numerics_id: str
    numerics_level: NumericsLevel
    def __init__(self, plan_digest: _Optional[str] = ..., version: _Optional[str] = ..., version_digest: _Optional[str] = ..., baseline: _Optional[str] = ..., baseline_digest: _Optional[str] = ..., files: _Optional[int] = ..., rows: _Optional[int] = ..., bytes: _Optional[int] = ..., dataset_digest: _Optional[str] = ..., shards: _Optional[int] = ..., cached_shards: _Optional[int] = ..., cost: _Optional[int] = ..., cached_cost: _Optional[int] = ..., numerics_id: _Optional[str] = ..., numerics_level: _Optional[_Union[NumericsLevel, str]] = ...) -> None: ...

class JobProgress(_message.Message):
    __slots__ = ("shards", "done_shards", "cached_shards", "audited_shards", "running_shards", "rows", "done_rows", "skipped_rows", "retries", "remaining")
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    DONE_SHARDS_FIELD_NUMBER: _ClassVar[int]
    CACHED_SHARDS_FIELD_NUMBER: _ClassVar[int]
    AUDITED_SHARDS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_SHARDS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DONE_ROWS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_ROWS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    shards: int
    done_shards: int
    cached_shards: int
    audited_shards: int
    running_shards: int
    rows: int
    done_rows: int
    skipped_rows: int
    retries: int
    remaining: _duration_pb2.Duration
    def __init__(self, shards: _Optional[int] = ..., done_shards: _Optional[int] = ..., cached_shards: _Optional[int] = ..., audited_shards: _Optional[int] = ..., running_shards: _Optional[int] = ..., rows: _Optional[int] = ..., done_rows: _Optional[int] = ..., skipped_rows: _Optional[int] = ..., retries: _Optional[int] = ..., remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class JobError(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class PlanningProgress(_message.Message):
    __slots__ = ("bytes", "done_bytes")
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DONE_BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    done_bytes: int
    def __init__(self, bytes: _Optional[int] = ..., done_bytes: _Optional[int] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("name", "spec", "plan", "state", "progress", "error", "output_digest", "report", "actor", "create_time", "end_time", "planning")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PLANNING_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: JobSpec
    plan: PlanSummary
    state: JobState
    progress: JobProgress
    error: JobError
    output_digest: str
    report: bytes
    actor: str
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    planning: PlanningProgress
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., plan: _Optional[_Union[PlanSummary, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., progress: _Optional[_Union[JobProgress, _Mapping]] = ..., error: _Optional[_Union[JobError, _Mapping]] = ..., output_digest: _Optional[str] = ..., report: _Optional[bytes] = ..., actor: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., planning: _Optional[_Union[PlanningProgress, _Mapping]] = ...) -> None: ...

class NondeterminismAlarm(_message.Message):
    __slots__ = ("action_digest", "job", "shard", "first_digest", "first_worker", "second_digest", "second_worker", "quarantined_worker", "time")
    ACTION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    FIRST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FIRST_WORKER_FIELD_NUMBER: _ClassVar[int]
    SECOND_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SECOND_WORKER_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_WORKER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    action_digest: str
    job: str
    shard: int
    first_digest: str
    first_worker: str
    second_digest: str
    second_worker: str
    quarantined_worker: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, action_digest: _Optional[str] = ..., job: _Optional[str] = ..., shard: _Optional[int] = ..., first_digest: _Optional[str] = ..., first_worker: _Optional[str] = ..., second_digest: _Optional[str] = ..., second_worker: _Optional[str] = ..., quarantined_worker: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("event", "time", "state", "progress", "message", "alarm", "error")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ALARM_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    event: int
    time: _timestamp_pb2.Timestamp
    state: JobState
    progress: JobProgress
    message: str
    alarm: NondeterminismAlarm
    error: JobError
    def __init__(self, event: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., progress: _Optional[_Union[JobProgress, _Mapping]] = ..., message: _Optional[str] = ..., alarm: _Optional[_Union[NondeterminismAlarm, _Mapping]] = ..., error: _Optional[_Union[JobError, _Mapping]] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("name", "host", "slots", "numerics", "done_shards", "quarantined", "seen_time", "live")
    class NumericsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_FIELD_NUMBER: _ClassVar[int]
    DONE_SHARDS_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    host: str
    slots: int
    numerics: _containers.ScalarMap[str, str]
    done_shards: int
    quarantined: bool
    seen_time: _timestamp_pb2.Timestamp
    live: bool
    def __init__(self, name: _Optional[str] = ..., host: _Optional[str] = ..., slots: _Optional[int] = ..., numerics: _Optional[_Mapping[str, str]] = ..., done_shards: _Optional[int] = ..., quarantined: _Optional[bool] = ..., seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., live: _Optional[bool] = ...) -> None: ...
