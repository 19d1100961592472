import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LeaseShardsRequest(_message.Message):
    __slots__ = ("worker", "incarnation", "host", "slots", "numerics", "limit", "wait")
    class NumericsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    worker: str
    incarnation: str
    host: str
    slots: int
    numerics: _containers.ScalarMap[str, str]
    limit: int
    wait: _duration_pb2.Duration
    def __init__(self, worker: _Optional[str] = ..., incarnation: _Optional[str] = ..., host: _Optional[str] = ..., slots: _Optional[int] = ..., numerics: _Optional[_Mapping[str, str]] = ..., limit: _Optional[int] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class LeaseShardsResponse(_message.Message):
    __slots__ = ("leases", "lease")
    LEASES_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[ShardLease]
    lease: _duration_pb2.Duration
    def __init__(self, leases: _Optional[_Iterable[_Union[ShardLease, _Mapping]]] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ShardLease(_message.Message):
    __slots__ = ("token", "job", "shard", "action_digest", "file", "first_row", "rows", "input_digest")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    ACTION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    INPUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    token: int
    job: str
    shard: int
    action_digest: str
    file: str
    first_row: int
    rows: int
    input_digest: str
    def __init__(self, token: _Optional[int] = ..., job: _Optional[str] = ..., shard: _Optional[int] = ..., action_digest: _Optional[str] = ..., file: _Optional[str] = ..., first_row: _Optional[int] = ..., rows: _Optional[int] = ..., input_digest: _Optional[str] = ...) -> None: ...

class RenewLeasesRequest(_message.Message):
    __slots__ = ("worker", "incarnation", "tokens")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    incarnation: str
    tokens: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, worker: _Optional[str] = ..., incarnation: _Optional[str] = ..., tokens: _Optional[_Iterable[int]] = ...) -> None: ...

class RenewLeasesResponse(_message.Message):
    __slots__ = ("lost_tokens",)
    LOST_TOKENS_FIELD_NUMBER: _ClassVar[int]
    lost_tokens: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, lost_tokens: _Optional[_Iterable[int]] = ...) -> None: ...

class GetJobContextRequest(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: str
    def __init__(self, job: _Optional[str] = ...) -> None: ...

class GetJobContextResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class UploadResultRequest(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: ResultHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[ResultHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ResultHeader(_message.Message):
    __slots__ = ("digest", "size", "worker")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size: int
    worker: str
    def __init__(self, digest: _Optional[str] = ..., size: _Optional[int] = ..., worker: _Optional[str] = ...) -> None: ...

class UploadResultResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CompleteShardRequest(_message.Message):
    __slots__ = ("worker", "incarnation", "token", "result", "output", "elapsed")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    worker: str
    incarnation: str
    token: int
    result: bytes
    output: bytes
    elapsed: _duration_pb2.Duration
    def __init__(self, worker: _Optional[str] = ..., incarnation: _Optional[str] = ..., token: _Optional[int] = ..., result: _Optional[bytes] = ..., output: _Optional[bytes] = ..., elapsed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CompleteShardResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FailShardRequest(_message.Message):
    __slots__ = ("worker", "incarnation", "token", "reason", "message", "retryable")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    worker: str
    incarnation: str
    token: int
    reason: str
    message: str
    retryable: bool
    def __init__(self, worker: _Optional[str] = ..., incarnation: _Optional[str] = ..., token: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...

class FailShardResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LeaveArrayRequest(_message.Message):
    __slots__ = ("worker", "incarnation")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    worker: str
    incarnation: str
    def __init__(self, worker: _Optional[str] = ..., incarnation: _Optional[str] = ...) -> None: ...

class LeaveArrayResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
