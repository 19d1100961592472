import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Model(_message.Message):
    __slots__ = ("name", "uid", "description", "create_time", "latest_version", "revision", "policy", "policy_etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LATEST_VERSION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: int
    description: str
    create_time: _timestamp_pb2.Timestamp
    latest_version: int
    revision: int
    policy: ModelPolicy
    policy_etag: str
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[int] = ..., description: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., latest_version: _Optional[int] = ..., revision: _Optional[int] = ..., policy: _Optional[_Union[ModelPolicy, _Mapping]] = ..., policy_etag: _Optional[str] = ...) -> None: ...

class ReceiptPolicy(_message.Message):
    __slots__ = ("mode", "sample_ppm", "content", "max_age_seconds", "max_bytes")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[ReceiptPolicy.Mode]
        MODE_OFF: _ClassVar[ReceiptPolicy.Mode]
        MODE_SAMPLED: _ClassVar[ReceiptPolicy.Mode]
        MODE_ALL: _ClassVar[ReceiptPolicy.Mode]
    MODE_UNSPECIFIED: ReceiptPolicy.Mode
    MODE_OFF: ReceiptPolicy.Mode
    MODE_SAMPLED: ReceiptPolicy.Mode
    MODE_ALL: ReceiptPolicy.Mode
    class Content(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CONTENT_UNSPECIFIED: _ClassVar[ReceiptPolicy.Content]
        CONTENT_DIGESTS: _ClassVar[ReceiptPolicy.Content]
        CONTENT_PAYLOADS: _ClassVar[ReceiptPolicy.Content]
    CONTENT_UNSPECIFIED: ReceiptPolicy.Content
    CONTENT_DIGESTS: ReceiptPolicy.Content
    CONTENT_PAYLOADS: ReceiptPolicy.Content
    MODE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_PPM_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    mode: ReceiptPolicy.Mode
    sample_ppm: int
    content: ReceiptPolicy.Content
    max_age_seconds: int
    max_bytes: int
    def __init__(self, mode: _Optional[_Union[ReceiptPolicy.Mode, str]] = ..., sample_ppm: _Optional[int] = ..., content: _Optional[_Union[ReceiptPolicy.Content, str]] = ..., max_age_seconds: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class BatchingPolicy(_message.Message):
    __slots__ = ("max_rows", "max_delay_us")
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_DELAY_US_FIELD_NUMBER: _ClassVar[int]
    max_rows: int
    max_delay_us: int
    def __init__(self, max_rows: _Optional[int] = ..., max_delay_us: _Optional[int] = ...) -> None: ...

class LimitPolicy(_message.Message):
    __slots__ = ("max_running", "max_queued", "max_wait_ms")
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    max_running: int
    max_queued: int
    max_wait_ms: int
    def __init__(self, max_running: _Optional[int] = ..., max_queued: _Optional[int] = ..., max_wait_ms: _Optional[int] = ...) -> None: ...

class ModelPolicy(_message.Message):
    __slots__ = ("receipts", "batching", "limits")
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    BATCHING_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    receipts: ReceiptPolicy
    batching: BatchingPolicy
    limits: LimitPolicy
    def __init__(self, receipts: _Optional[_Union[ReceiptPolicy, _Mapping]] = ..., batching: _Optional[_Union[BatchingPolicy, _Mapping]] = ..., limits: _Optional[_Union[LimitPolicy, _Mapping]] = ...) -> None: ...

class File(_message.Message):
    __slots__ = ("path", "size_bytes", "digest")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    digest: str
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., digest: _Optional[str] = ...) -> None: ...

class TensorSpec(_message.Message):
    __slots__ = ("name", "datatype", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class Signature(_message.Message):
    __slots__ = ("inputs", "outputs", "label_output")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    LABEL_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    label_output: str
    def __init__(self, inputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., label_output: _Optional[str] = ...) -> None: ...

class Version(_message.Message):
    __slots__ = ("name", "version", "digest", "kind", "files", "signature", "description", "metadata", "actor", "create_time", "size_bytes", "revision")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    digest: str
    kind: str
    files: _containers.RepeatedCompositeFieldContainer[File]
    signature: Signature
    description: str
    metadata: _containers.ScalarMap[str, str]
    actor: Actor
    create_time: _timestamp_pb2.Timestamp
    size_bytes: int
    revision: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., kind: _Optional[str] = ..., files: _Optional[_Iterable[_Union[File, _Mapping]]] = ..., signature: _Optional[_Union[Signature, _Mapping]] = ..., description: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., actor: _Optional[_Union[Actor, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., size_bytes: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class Actor(_message.Message):
    __slots__ = ("id", "authenticated", "on_behalf_of")
    ID_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATED_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    id: str
    authenticated: bool
    on_behalf_of: str
    def __init__(self, id: _Optional[str] = ..., authenticated: _Optional[bool] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class Canary(_message.Message):
    __slots__ = ("version", "share_ppm")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHARE_PPM_FIELD_NUMBER: _ClassVar[int]
    version: int
    share_ppm: int
    def __init__(self, version: _Optional[int] = ..., share_ppm: _Optional[int] = ...) -> None: ...

class Shadow(_message.Message):
    __slots__ = ("version", "share_ppm")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHARE_PPM_FIELD_NUMBER: _ClassVar[int]
    version: int
    share_ppm: int
    def __init__(self, version: _Optional[int] = ..., share_ppm: _Optional[int] = ...) -> None: ...

class StickyKey(_message.Message):
    __slots__ = ("source", "key")
    class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SOURCE_UNSPECIFIED: _ClassVar[StickyKey.Source]
        SOURCE_PARAMETER: _ClassVar[StickyKey.Source]
        SOURCE_METADATA: _ClassVar[StickyKey.Source]
        SOURCE_REQUEST_ID: _ClassVar[StickyKey.Source]
    SOURCE_UNSPECIFIED: StickyKey.Source
    SOURCE_PARAMETER: StickyKey.Source
    SOURCE_METADATA: StickyKey.Source
    SOURCE_REQUEST_ID: StickyKey.Source
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    source: StickyKey.Source
    key: str
    def __init__(self, source: _Optional[_Union[StickyKey.Source, str]] = ..., key: _Optional[str] = ...) -> None: ...

class AliasState(_message.Message):
    __slots__ = ("version", "canary", "shadow", "sticky_key")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    STICKY_KEY_FIELD_NUMBER: _ClassVar[int]
    version: int
    canary: Canary
    shadow: Shadow
    sticky_key: StickyKey
    def __init__(self, version: _Optional[int] = ..., canary: _Optional[_Union[Canary, _Mapping]] = ..., shadow: _Optional[_Union[Shadow, _Mapping]] = ..., sticky_key: _Optional[_Union[StickyKey, _Mapping]] = ...) -> None: ...

class Alias(_message.Message):
    __slots__ = ("name", "state", "etag", "rollback_versions", "revision", "update_time", "actor", "reason", "protection", "proof", "protection_etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROTECTION_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    PROTECTION_ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: AliasState
    etag: str
    rollback_versions: _containers.RepeatedScalarFieldContainer[int]
    revision: int
    update_time: _timestamp_pb2.Timestamp
    actor: Actor
    reason: str
    protection: AliasProtection
    proof: Proof
    protection_etag: str
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[AliasState, _Mapping]] = ..., etag: _Optional[str] = ..., rollback_versions: _Optional[_Iterable[int]] = ..., revision: _Optional[int] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[_Union[Actor, _Mapping]] = ..., reason: _Optional[str] = ..., protection: _Optional[_Union[AliasProtection, _Mapping]] = ..., proof: _Optional[_Union[Proof, _Mapping]] = ..., protection_etag: _Optional[str] = ...) -> None: ...

class AliasProtection(_message.Message):
    __slots__ = ("require_proof", "min_agreement_ppm", "max_output_difference", "max_new_errors", "max_latency_ratio_ppm", "min_requests", "max_proof_age_seconds", "required_source", "allow_unverified")
    REQUIRE_PROOF_FIELD_NUMBER: _ClassVar[int]
    MIN_AGREEMENT_PPM_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_ERRORS_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENCY_RATIO_PPM_FIELD_NUMBER: _ClassVar[int]
    MIN_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_PROOF_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_SOURCE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_UNVERIFIED_FIELD_NUMBER: _ClassVar[int]
    require_proof: bool
    min_agreement_ppm: int
    max_output_difference: str
    max_new_errors: int
    max_latency_ratio_ppm: int
    min_requests: int
    max_proof_age_seconds: int
    required_source: Proof.Source
    allow_unverified: bool
    def __init__(self, require_proof: _Optional[bool] = ..., min_agreement_ppm: _Optional[int] = ..., max_output_difference: _Optional[str] = ..., max_new_errors: _Optional[int] = ..., max_latency_ratio_ppm: _Optional[int] = ..., min_requests: _Optional[int] = ..., max_proof_age_seconds: _Optional[int] = ..., required_source: _Optional[_Union[Proof.Source, str]] = ..., allow_unverified: _Optional[bool] = ...) -> None: ...

class Proof(_message.Message):
    __slots__ = ("model", "baseline_version", "baseline_digest", "candidate_version", "candidate_digest", "source", "requests_digest", "requests", "rows", "agreeing_rows", "identical_requests", "max_output_difference", "baseline_errors", "candidate_errors", "new_errors", "baseline_p50_ns", "baseline_p99_ns", "candidate_p50_ns", "candidate_p99_ns", "node", "time_ms", "seal", "unverified")
    class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SOURCE_UNSPECIFIED: _ClassVar[Proof.Source]
        SOURCE_GOLDEN: _ClassVar[Proof.Source]
        SOURCE_RECORDED: _ClassVar[Proof.Source]
    SOURCE_UNSPECIFIED: Proof.Source
    SOURCE_GOLDEN: Proof.Source
    SOURCE_RECORDED: Proof.Source
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BASELINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    BASELINE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    AGREEING_ROWS_FIELD_NUMBER: _ClassVar[int]
    IDENTICAL_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    BASELINE_ERRORS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_ERRORS_FIELD_NUMBER: _ClassVar[int]
    NEW_ERRORS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_P50_NS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_P99_NS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_P50_NS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_P99_NS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    UNVERIFIED_FIELD_NUMBER: _ClassVar[int]
    model: str
    baseline_version: int
    baseline_digest: str
    candidate_version: int
    candidate_digest: str
    source: Proof.Source
    requests_digest: str
    requests: int
    rows: int
    agreeing_rows: int
    identical_requests: int
    max_output_difference: str
    baseline_errors: int
    candidate_errors: int
    new_errors: int
    baseline_p50_ns: int
    baseline_p99_ns: int
    candidate_p50_ns: int
    candidate_p99_ns: int
    node: str
    time_ms: int
    seal: bytes
    unverified: bool
    def __init__(self, model: _Optional[str] = ..., baseline_version: _Optional[int] = ..., baseline_digest: _Optional[str] = ..., candidate_version: _Optional[int] = ..., candidate_digest: _Optional[str] = ..., source: _Optional[_Union[Proof.Source, str]] = ..., requests_digest: _Optional[str] = ..., requests: _Optional[int] = ..., rows: _Optional[int] = ..., agreeing_rows: _Optional[int] = ..., identical_requests: _Optional[int] = ..., max_output_difference: _Optional[str] = ..., baseline_errors: _Optional[int] = ..., candidate_errors: _Optional[int] = ..., new_errors: _Optional[int] = ..., baseline_p50_ns: _Optional[int] = ..., baseline_p99_ns: _Optional[int] = ..., candidate_p50_ns: _Optional[int] = ..., candidate_p99_ns: _Optional[int] = ..., node: _Optional[str] = ..., time_ms: _Optional[int] = ..., seal: _Optional[bytes] = ..., unverified: _Optional[bool] = ...) -> None: ...

class ModelCreated(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class VersionCreated(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: Version
    def __init__(self, version: _Optional[_Union[Version, _Mapping]] = ...) -> None: ...

class AliasMoved(_message.Message):
    __slots__ = ("alias", "kind", "before", "after", "proof", "waves")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[AliasMoved.Kind]
        KIND_PROMOTE: _ClassVar[AliasMoved.Kind]
        KIND_ROLLBACK: _ClassVar[AliasMoved.Kind]
    KIND_UNSPECIFIED: AliasMoved.Kind
    KIND_PROMOTE: AliasMoved.Kind
    KIND_ROLLBACK: AliasMoved.Kind
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    WAVES_FIELD_NUMBER: _ClassVar[int]
    alias: str
    kind: AliasMoved.Kind
    before: AliasState
    after: AliasState
    proof: Proof
    waves: WavePlan
    def __init__(self, alias: _Optional[str] = ..., kind: _Optional[_Union[AliasMoved.Kind, str]] = ..., before: _Optional[_Union[AliasState, _Mapping]] = ..., after: _Optional[_Union[AliasState, _Mapping]] = ..., proof: _Optional[_Union[Proof, _Mapping]] = ..., waves: _Optional[_Union[WavePlan, _Mapping]] = ...) -> None: ...

class ModelPolicyChanged(_message.Message):
    __slots__ = ("model", "before", "after")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    model: str
    before: ModelPolicy
    after: ModelPolicy
    def __init__(self, model: _Optional[str] = ..., before: _Optional[_Union[ModelPolicy, _Mapping]] = ..., after: _Optional[_Union[ModelPolicy, _Mapping]] = ...) -> None: ...

class AliasProtected(_message.Message):
    __slots__ = ("alias", "before", "after")
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    alias: str
    before: AliasProtection
    after: AliasProtection
    def __init__(self, alias: _Optional[str] = ..., before: _Optional[_Union[AliasProtection, _Mapping]] = ..., after: _Optional[_Union[AliasProtection, _Mapping]] = ...) -> None: ...

class Check(_message.Message):
    __slots__ = ("version", "kind", "plan_digest", "output_digest", "figures", "actor", "reason", "create_time", "revision")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    version: str
    kind: str
    plan_digest: str
    output_digest: str
    figures: _containers.ScalarMap[str, str]
    actor: Actor
    reason: str
    create_time: _timestamp_pb2.Timestamp
    revision: int
    def __init__(self, version: _Optional[str] = ..., kind: _Optional[str] = ..., plan_digest: _Optional[str] = ..., output_digest: _Optional[str] = ..., figures: _Optional[_Mapping[str, str]] = ..., actor: _Optional[_Union[Actor, _Mapping]] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class CheckRecorded(_message.Message):
    __slots__ = ("check",)
    CHECK_FIELD_NUMBER: _ClassVar[int]
    check: Check
    def __init__(self, check: _Optional[_Union[Check, _Mapping]] = ...) -> None: ...

class StalenessPolicy(_message.Message):
    __slots__ = ("action", "after_seconds")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[StalenessPolicy.Action]
        ACTION_SERVE: _ClassVar[StalenessPolicy.Action]
        ACTION_FLAG: _ClassVar[StalenessPolicy.Action]
        ACTION_REFUSE: _ClassVar[StalenessPolicy.Action]
    ACTION_UNSPECIFIED: StalenessPolicy.Action
    ACTION_SERVE: StalenessPolicy.Action
    ACTION_FLAG: StalenessPolicy.Action
    ACTION_REFUSE: StalenessPolicy.Action
    ACTION_FIELD_NUMBER: _ClassVar[int]
    AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    action: StalenessPolicy.Action
    after_seconds: int
    def __init__(self, action: _Optional[_Union[StalenessPolicy.Action, str]] = ..., after_seconds: _Optional[int] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("name", "selector", "model", "alias", "pinned_version", "limits", "staleness", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    PINNED_VERSION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    STALENESS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    selector: str
    model: str
    alias: str
    pinned_version: int
    limits: LimitPolicy
    staleness: StalenessPolicy
    revision: int
    def __init__(self, name: _Optional[str] = ..., selector: _Optional[str] = ..., model: _Optional[str] = ..., alias: _Optional[str] = ..., pinned_version: _Optional[int] = ..., limits: _Optional[_Union[LimitPolicy, _Mapping]] = ..., staleness: _Optional[_Union[StalenessPolicy, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class WavePlan(_message.Message):
    __slots__ = ("shares_ppm", "hold_seconds")
    SHARES_PPM_FIELD_NUMBER: _ClassVar[int]
    HOLD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    shares_ppm: _containers.RepeatedScalarFieldContainer[int]
    hold_seconds: int
    def __init__(self, shares_ppm: _Optional[_Iterable[int]] = ..., hold_seconds: _Optional[int] = ...) -> None: ...

class AssignmentChanged(_message.Message):
    __slots__ = ("assignment", "before", "after")
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    assignment: str
    before: Assignment
    after: Assignment
    def __init__(self, assignment: _Optional[str] = ..., before: _Optional[_Union[Assignment, _Mapping]] = ..., after: _Optional[_Union[Assignment, _Mapping]] = ...) -> None: ...

class WaveReached(_message.Message):
    __slots__ = ("alias", "move_revision", "share_ppm")
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    MOVE_REVISION_FIELD_NUMBER: _ClassVar[int]
    SHARE_PPM_FIELD_NUMBER: _ClassVar[int]
    alias: str
    move_revision: int
    share_ppm: int
    def __init__(self, alias: _Optional[str] = ..., move_revision: _Optional[int] = ..., share_ppm: _Optional[int] = ...) -> None: ...

class NodeRegistered(_message.Message):
    __slots__ = ("node", "key_fingerprint")
    NODE_FIELD_NUMBER: _ClassVar[int]
    KEY_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    node: str
    key_fingerprint: str
    def __init__(self, node: _Optional[str] = ..., key_fingerprint: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("revision", "create_time", "actor", "reason", "model_created", "version_created", "alias_moved", "node_registered", "model_policy_changed", "alias_protected", "assignment_changed", "wave_reached", "check_recorded", "canonical", "leaf_hash")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MODEL_CREATED_FIELD_NUMBER: _ClassVar[int]
    VERSION_CREATED_FIELD_NUMBER: _ClassVar[int]
    ALIAS_MOVED_FIELD_NUMBER: _ClassVar[int]
    NODE_REGISTERED_FIELD_NUMBER: _ClassVar[int]
    MODEL_POLICY_CHANGED_FIELD_NUMBER: _ClassVar[int]
    ALIAS_PROTECTED_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_CHANGED_FIELD_NUMBER: _ClassVar[int]
    WAVE_REACHED_FIELD_NUMBER: _ClassVar[int]
    CHECK_RECORDED_FIELD_NUMBER: _ClassVar[int]
    CANONICAL_FIELD_NUMBER: _ClassVar[int]
    LEAF_HASH_FIELD_NUMBER: _ClassVar[int]
    revision: int
    create_time: _timestamp_pb2.Timestamp
    actor: Actor
    reason: str
    model_created: ModelCreated
    version_created: VersionCreated
    alias_moved: AliasMoved
    node_registered: NodeRegistered
    model_policy_changed: ModelPolicyChanged
    alias_protected: AliasProtected
    assignment_changed: AssignmentChanged
    wave_reached: WaveReached
    check_recorded: CheckRecorded
    canonical: bytes
    leaf_hash: bytes
    def __init__(self, revision: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[_Union[Actor, _Mapping]] = ..., reason: _Optional[str] = ..., model_created: _Optional[_Union[ModelCreated, _Mapping]] = ..., version_created: _Optional[_Union[VersionCreated, _Mapping]] = ..., alias_moved: _Optional[_Union[AliasMoved, _Mapping]] = ..., node_registered: _Optional[_Union[NodeRegistered, _Mapping]] = ..., model_policy_changed: _Optional[_Union[ModelPolicyChanged, _Mapping]] = ..., alias_protected: _Optional[_Union[AliasProtected, _Mapping]] = ..., assignment_changed: _Optional[_Union[AssignmentChanged, _Mapping]] = ..., wave_reached: _Optional[_Union[WaveReached, _Mapping]] = ..., check_recorded: _Optional[_Union[CheckRecorded, _Mapping]] = ..., canonical: _Optional[bytes] = ..., leaf_hash: _Optional[bytes] = ...) -> None: ...
