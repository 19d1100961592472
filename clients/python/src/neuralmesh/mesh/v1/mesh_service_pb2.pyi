import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from neuralmesh.registry.v1 import resources_pb2 as _resources_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SetAssignmentRequest(_message.Message):
    __slots__ = ("assignment", "actor", "reason", "request_id")
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    assignment: _resources_pb2.Assignment
    actor: str
    reason: str
    request_id: str
    def __init__(self, assignment: _Optional[_Union[_resources_pb2.Assignment, _Mapping]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetAssignmentResponse(_message.Message):
    __slots__ = ("assignment", "previous_assignment")
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    assignment: _resources_pb2.Assignment
    previous_assignment: _resources_pb2.Assignment
    def __init__(self, assignment: _Optional[_Union[_resources_pb2.Assignment, _Mapping]] = ..., previous_assignment: _Optional[_Union[_resources_pb2.Assignment, _Mapping]] = ...) -> None: ...

class DeleteAssignmentRequest(_message.Message):
    __slots__ = ("name", "actor", "reason", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    actor: str
    reason: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteAssignmentResponse(_message.Message):
    __slots__ = ("assignment",)
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    assignment: _resources_pb2.Assignment
    def __init__(self, assignment: _Optional[_Union[_resources_pb2.Assignment, _Mapping]] = ...) -> None: ...

class ListAssignmentsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAssignmentsResponse(_message.Message):
    __slots__ = ("assignments", "next_page_token")
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    assignments: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Assignment]
    next_page_token: str
    def __init__(self, assignments: _Optional[_Iterable[_Union[_resources_pb2.Assignment, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ModelState(_message.Message):
    __slots__ = ("model", "versions", "aliases", "staleness")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    STALENESS_FIELD_NUMBER: _ClassVar[int]
    model: _resources_pb2.Model
    versions: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Version]
    aliases: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Alias]
    staleness: _resources_pb2.StalenessPolicy
    def __init__(self, model: _Optional[_Union[_resources_pb2.Model, _Mapping]] = ..., versions: _Optional[_Iterable[_Union[_resources_pb2.Version, _Mapping]]] = ..., aliases: _Optional[_Iterable[_Union[_resources_pb2.Alias, _Mapping]]] = ..., staleness: _Optional[_Union[_resources_pb2.StalenessPolicy, _Mapping]] = ...) -> None: ...

class GetDesiredStateRequest(_message.Message):
    __slots__ = ("node", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    node: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, node: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetDesiredStateResponse(_message.Message):
    __slots__ = ("revision", "state_digest", "models")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    revision: int
    state_digest: bytes
    models: _containers.RepeatedCompositeFieldContainer[ModelState]
    def __init__(self, revision: _Optional[int] = ..., state_digest: _Optional[bytes] = ..., models: _Optional[_Iterable[_Union[ModelState, _Mapping]]] = ...) -> None: ...

class SyncRequest(_message.Message):
    __slots__ = ("hello", "report")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    report: Report
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., report: _Optional[_Union[Report, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("node", "labels", "applied_revision", "state_digest", "id_key", "epoch_ms", "endpoint", "event_hash")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ID_KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_MS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    EVENT_HASH_FIELD_NUMBER: _ClassVar[int]
    node: str
    labels: _containers.ScalarMap[str, str]
    applied_revision: int
    state_digest: bytes
    id_key: bytes
    epoch_ms: int
    endpoint: str
    event_hash: bytes
    def __init__(self, node: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., applied_revision: _Optional[int] = ..., state_digest: _Optional[bytes] = ..., id_key: _Optional[bytes] = ..., epoch_ms: _Optional[int] = ..., endpoint: _Optional[str] = ..., event_hash: _Optional[bytes] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("outcome", "revision", "state_digest", "reason", "figures")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[Report.Outcome]
        OUTCOME_APPLIED: _ClassVar[Report.Outcome]
        OUTCOME_REFUSED: _ClassVar[Report.Outcome]
        OUTCOME_PENDING: _ClassVar[Report.Outcome]
    OUTCOME_UNSPECIFIED: Report.Outcome
    OUTCOME_APPLIED: Report.Outcome
    OUTCOME_REFUSED: Report.Outcome
    OUTCOME_PENDING: Report.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    outcome: Report.Outcome
    revision: int
    state_digest: bytes
    reason: str
    figures: NodeFigures
    def __init__(self, outcome: _Optional[_Union[Report.Outcome, str]] = ..., revision: _Optional[int] = ..., state_digest: _Optional[bytes] = ..., reason: _Optional[str] = ..., figures: _Optional[_Union[NodeFigures, _Mapping]] = ...) -> None: ...

class LocalOverride(_message.Message):
    __slots__ = ("model", "alias", "version", "alias_revision", "actor", "reason")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALIAS_REVISION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model: str
    alias: str
    version: int
    alias_revision: int
    actor: str
    reason: str
    def __init__(self, model: _Optional[str] = ..., alias: _Optional[str] = ..., version: _Optional[int] = ..., alias_revision: _Optional[int] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class NodeFigures(_message.Message):
    __slots__ = ("cache_bytes", "cache_limit_bytes", "fetched_upstream_bytes", "fetched_registry_bytes", "forwarded", "forward_failures", "hedged", "hedges_won", "hedges_compared", "hedges_different", "overrides", "failures", "lost_reports")
    CACHE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CACHE_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    FETCHED_UPSTREAM_BYTES_FIELD_NUMBER: _ClassVar[int]
    FETCHED_REGISTRY_BYTES_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FAILURES_FIELD_NUMBER: _ClassVar[int]
    HEDGED_FIELD_NUMBER: _ClassVar[int]
    HEDGES_WON_FIELD_NUMBER: _ClassVar[int]
    HEDGES_COMPARED_FIELD_NUMBER: _ClassVar[int]
    HEDGES_DIFFERENT_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    LOST_REPORTS_FIELD_NUMBER: _ClassVar[int]
    cache_bytes: int
    cache_limit_bytes: int
    fetched_upstream_bytes: int
    fetched_registry_bytes: int
    forwarded: int
    forward_failures: int
    hedged: int
    hedges_won: int
    hedges_compared: int
    hedges_different: int
    overrides: _containers.RepeatedCompositeFieldContainer[LocalOverride]
    failures: _containers.RepeatedScalarFieldContainer[str]
    lost_reports: int
    def __init__(self, cache_bytes: _Optional[int] = ..., cache_limit_bytes: _Optional[int] = ..., fetched_upstream_bytes: _Optional[int] = ..., fetched_registry_bytes: _Optional[int] = ..., forwarded: _Optional[int] = ..., forward_failures: _Optional[int] = ..., hedged: _Optional[int] = ..., hedges_won: _Optional[int] = ..., hedges_compared: _Optional[int] = ..., hedges_different: _Optional[int] = ..., overrides: _Optional[_Iterable[_Union[LocalOverride, _Mapping]]] = ..., failures: _Optional[_Iterable[str]] = ..., lost_reports: _Optional[int] = ...) -> None: ...

class SyncResponse(_message.Message):
    __slots__ = ("whole", "models", "removed_models", "revision", "state_digest", "event_hash")
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_MODELS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    EVENT_HASH_FIELD_NUMBER: _ClassVar[int]
    whole: bool
    models: _containers.RepeatedCompositeFieldContainer[ModelState]
    removed_models: _containers.RepeatedScalarFieldContainer[str]
    revision: int
    state_digest: bytes
    event_hash: bytes
    def __init__(self, whole: _Optional[bool] = ..., models: _Optional[_Iterable[_Union[ModelState, _Mapping]]] = ..., removed_models: _Optional[_Iterable[str]] = ..., revision: _Optional[int] = ..., state_digest: _Optional[bytes] = ..., event_hash: _Optional[bytes] = ...) -> None: ...

class ListNodesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "selector")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    selector: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., selector: _Optional[str] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("node", "labels", "connected", "silence", "applied_revision", "state_digest", "desired_digest", "desired_revision", "converged", "reason", "figures", "endpoint", "hello_time")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SILENCE_FIELD_NUMBER: _ClassVar[int]
    APPLIED_REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DESIRED_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DESIRED_REVISION_FIELD_NUMBER: _ClassVar[int]
    CONVERGED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    HELLO_TIME_FIELD_NUMBER: _ClassVar[int]
    node: str
    labels: _containers.ScalarMap[str, str]
    connected: bool
    silence: _duration_pb2.Duration
    applied_revision: int
    state_digest: bytes
    desired_digest: bytes
    desired_revision: int
    converged: bool
    reason: str
    figures: NodeFigures
    endpoint: str
    hello_time: _timestamp_pb2.Timestamp
    def __init__(self, node: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., connected: _Optional[bool] = ..., silence: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., applied_revision: _Optional[int] = ..., state_digest: _Optional[bytes] = ..., desired_digest: _Optional[bytes] = ..., desired_revision: _Optional[int] = ..., converged: _Optional[bool] = ..., reason: _Optional[str] = ..., figures: _Optional[_Union[NodeFigures, _Mapping]] = ..., endpoint: _Optional[str] = ..., hello_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes", "next_page_token", "revision")
    NODES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    next_page_token: str
    revision: int
    def __init__(self, nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class ForgetNodeRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: str
    def __init__(self, node: _Optional[str] = ...) -> None: ...

class ForgetNodeResponse(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: Node
    def __init__(self, node: _Optional[_Union[Node, _Mapping]] = ...) -> None: ...
