from neuralmesh.labor.v1 import resources_pb2 as _resources_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobDocument(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_DOCUMENT_UNSPECIFIED: _ClassVar[JobDocument]
    JOB_DOCUMENT_PLAN: _ClassVar[JobDocument]
    JOB_DOCUMENT_MANIFEST: _ClassVar[JobDocument]
JOB_DOCUMENT_UNSPECIFIED: JobDocument
JOB_DOCUMENT_PLAN: JobDocument
JOB_DOCUMENT_MANIFEST: JobDocument

class PlanJobRequest(_message.Message):
    __slots__ = ("spec",)
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: _resources_pb2.JobSpec
    def __init__(self, spec: _Optional[_Union[_resources_pb2.JobSpec, _Mapping]] = ...) -> None: ...

class PlanJobResponse(_message.Message):
    __slots__ = ("plan", "shards")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    plan: _resources_pb2.PlanSummary
    shards: _containers.RepeatedCompositeFieldContainer[PlannedShard]
    def __init__(self, plan: _Optional[_Union[_resources_pb2.PlanSummary, _Mapping]] = ..., shards: _Optional[_Iterable[_Union[PlannedShard, _Mapping]]] = ...) -> None: ...

class PlannedShard(_message.Message):
    __slots__ = ("shard", "file", "first_row", "rows", "cost", "action_digest", "cached")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ACTION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    shard: int
    file: str
    first_row: int
    rows: int
    cost: int
    action_digest: str
    cached: bool
    def __init__(self, shard: _Optional[int] = ..., file: _Optional[str] = ..., first_row: _Optional[int] = ..., rows: _Optional[int] = ..., cost: _Optional[int] = ..., action_digest: _Optional[str] = ..., cached: _Optional[bool] = ...) -> None: ...

class SubmitJobRequest(_message.Message):
    __slots__ = ("spec", "actor")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    spec: _resources_pb2.JobSpec
    actor: str
    def __init__(self, spec: _Optional[_Union[_resources_pb2.JobSpec, _Mapping]] = ..., actor: _Optional[str] = ...) -> None: ...

class SubmitJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _resources_pb2.Job
    def __init__(self, job: _Optional[_Union[_resources_pb2.Job, _Mapping]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _resources_pb2.Job
    def __init__(self, job: _Optional[_Union[_resources_pb2.Job, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[_resources_pb2.Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("name", "after_event")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_EVENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_event: int
    def __init__(self, name: _Optional[str] = ..., after_event: _Optional[int] = ...) -> None: ...

class WatchJobResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _resources_pb2.JobEvent
    def __init__(self, event: _Optional[_Union[_resources_pb2.JobEvent, _Mapping]] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("name", "actor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    actor: str
    def __init__(self, name: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _resources_pb2.Job
    def __init__(self, job: _Optional[_Union[_resources_pb2.Job, _Mapping]] = ...) -> None: ...

class GetJobDocumentRequest(_message.Message):
    __slots__ = ("name", "document")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    document: JobDocument
    def __init__(self, name: _Optional[str] = ..., document: _Optional[_Union[JobDocument, str]] = ...) -> None: ...

class GetJobDocumentResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class DownloadResultRequest(_message.Message):
    __slots__ = ("digest", "offset")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    digest: str
    offset: int
    def __init__(self, digest: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadResultResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class ExplainMissesRequest(_message.Message):
    __slots__ = ("spec", "limit")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    spec: _resources_pb2.JobSpec
    limit: int
    def __init__(self, spec: _Optional[_Union[_resources_pb2.JobSpec, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ExplainMissesResponse(_message.Message):
    __slots__ = ("misses", "total")
    MISSES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    misses: _containers.RepeatedCompositeFieldContainer[Miss]
    total: int
    def __init__(self, misses: _Optional[_Iterable[_Union[Miss, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class Miss(_message.Message):
    __slots__ = ("shard", "nearest_action", "differences")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    NEAREST_ACTION_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    shard: PlannedShard
    nearest_action: str
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    def __init__(self, shard: _Optional[_Union[PlannedShard, _Mapping]] = ..., nearest_action: _Optional[str] = ..., differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("field", "cached", "wanted")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    field: str
    cached: str
    wanted: str
    def __init__(self, field: _Optional[str] = ..., cached: _Optional[str] = ..., wanted: _Optional[str] = ...) -> None: ...

class GetScheduleRequest(_message.Message):
    __slots__ = ("name", "after_epoch")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_epoch: int
    def __init__(self, name: _Optional[str] = ..., after_epoch: _Optional[int] = ...) -> None: ...

class GetScheduleResponse(_message.Message):
    __slots__ = ("epochs",)
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    epochs: _containers.RepeatedCompositeFieldContainer[ScheduleEpoch]
    def __init__(self, epochs: _Optional[_Iterable[_Union[ScheduleEpoch, _Mapping]]] = ...) -> None: ...

class ScheduleEpoch(_message.Message):
    __slots__ = ("epoch", "slots", "pending", "assigned")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    slots: _containers.RepeatedScalarFieldContainer[str]
    pending: _containers.RepeatedScalarFieldContainer[int]
    assigned: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, epoch: _Optional[int] = ..., slots: _Optional[_Iterable[str]] = ..., pending: _Optional[_Iterable[int]] = ..., assigned: _Optional[_Iterable[int]] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[_resources_pb2.Worker, _Mapping]]] = ...) -> None: ...

class ListAlarmsRequest(_message.Message):
    __slots__ = ("page_size",)
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    def __init__(self, page_size: _Optional[int] = ...) -> None: ...

class ListAlarmsResponse(_message.Message):
    __slots__ = ("alarms",)
    ALARMS_FIELD_NUMBER: _ClassVar[int]
    alarms: _containers.RepeatedCompositeFieldContainer[_resources_pb2.NondeterminismAlarm]
    def __init__(self, alarms: _Optional[_Iterable[_Union[_resources_pb2.NondeterminismAlarm, _Mapping]]] = ...) -> None: ...

class ReleaseWorkerRequest(_message.Message):
    __slots__ = ("worker", "actor")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    worker: str
    actor: str
    def __init__(self, worker: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ReleaseWorkerResponse(_message.Message):
    __slots__ = ("worker",)
    WORKER_FIELD_NUMBER: _ClassVar[int]
    worker: _resources_pb2.Worker
    def __init__(self, worker: _Optional[_Union[_resources_pb2.Worker, _Mapping]] = ...) -> None: ...
