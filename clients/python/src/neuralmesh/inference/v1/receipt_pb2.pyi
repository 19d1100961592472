from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Receipt(_message.Message):
    __slots__ = ("prediction_id", "model", "version", "digest", "node", "request", "request_digest", "response", "outputs_digest", "numerics", "runtime")
    class Numerics(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NUMERICS_UNSPECIFIED: _ClassVar[Receipt.Numerics]
        NUMERICS_BIT_EXACT: _ClassVar[Receipt.Numerics]
        NUMERICS_SAME_PLATFORM: _ClassVar[Receipt.Numerics]
        NUMERICS_UNVERIFIED: _ClassVar[Receipt.Numerics]
    NUMERICS_UNSPECIFIED: Receipt.Numerics
    NUMERICS_BIT_EXACT: Receipt.Numerics
    NUMERICS_SAME_PLATFORM: Receipt.Numerics
    NUMERICS_UNVERIFIED: Receipt.Numerics
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    REQUEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    model: str
    version: int
    digest: str
    node: str
    request: bytes
    request_digest: str
    response: bytes
    outputs_digest: str
    numerics: Receipt.Numerics
    runtime: str
    def __init__(self, prediction_id: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., node: _Optional[str] = ..., request: _Optional[bytes] = ..., request_digest: _Optional[str] = ..., response: _Optional[bytes] = ..., outputs_digest: _Optional[str] = ..., numerics: _Optional[_Union[Receipt.Numerics, str]] = ..., runtime: _Optional[str] = ...) -> None: ...
