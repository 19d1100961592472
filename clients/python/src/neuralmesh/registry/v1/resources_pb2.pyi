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
    __slots__ = ("name", "uid", "description", "create_time", "latest_version", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LATEST_VERSION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: int
    description: str
    create_time: _timestamp_pb2.Timestamp
    latest_version: int
    revision: int
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[int] = ..., description: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., latest_version: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("name", "state", "etag", "rollback_versions", "revision", "update_time", "actor", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: AliasState
    etag: str
    rollback_versions: _containers.RepeatedScalarFieldContainer[int]
    revision: int
    update_time: _timestamp_pb2.Timestamp
    actor: Actor
    reason: str
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[AliasState, _Mapping]] = ..., etag: _Optional[str] = ..., rollback_versions: _Optional[_Iterable[int]] = ..., revision: _Optional[int] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[_Union[Actor, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("alias", "kind", "before", "after")
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
    alias: str
    kind: AliasMoved.Kind
    before: AliasState
    after: AliasState
    def __init__(self, alias: _Optional[str] = ..., kind: _Optional[_Union[AliasMoved.Kind, str]] = ..., before: _Optional[_Union[AliasState, _Mapping]] = ..., after: _Optional[_Union[AliasState, _Mapping]] = ...) -> None: ...

class NodeRegistered(_message.Message):
    __slots__ = ("node", "key_fingerprint")
    NODE_FIELD_NUMBER: _ClassVar[int]
    KEY_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    node: str
    key_fingerprint: str
    def __init__(self, node: _Optional[str] = ..., key_fingerprint: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("revision", "create_time", "actor", "reason", "model_created", "version_created", "alias_moved", "node_registered", "canonical", "leaf_hash")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MODEL_CREATED_FIELD_NUMBER: _ClassVar[int]
    VERSION_CREATED_FIELD_NUMBER: _ClassVar[int]
    ALIAS_MOVED_FIELD_NUMBER: _ClassVar[int]
    NODE_REGISTERED_FIELD_NUMBER: _ClassVar[int]
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
    canonical: bytes
    leaf_hash: bytes
    def __init__(self, revision: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[_Union[Actor, _Mapping]] = ..., reason: _Optional[str] = ..., model_created: _Optional[_Union[ModelCreated, _Mapping]] = ..., version_created: _Optional[_Union[VersionCreated, _Mapping]] = ..., alias_moved: _Optional[_Union[AliasMoved, _Mapping]] = ..., node_registered: _Optional[_Union[NodeRegistered, _Mapping]] = ..., canonical: _Optional[bytes] = ..., leaf_hash: _Optional[bytes] = ...) -> None: ...
