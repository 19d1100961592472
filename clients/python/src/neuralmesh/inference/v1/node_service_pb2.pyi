from neuralmesh.inference.v1 import receipt_pb2 as _receipt_pb2
from neuralmesh.registry.v1 import resources_pb2 as _resources_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetReceiptRequest(_message.Message):
    __slots__ = ("prediction_id",)
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    def __init__(self, prediction_id: _Optional[str] = ...) -> None: ...

class GetReceiptResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: _receipt_pb2.Receipt
    def __init__(self, receipt: _Optional[_Union[_receipt_pb2.Receipt, _Mapping]] = ...) -> None: ...

class ListReceiptsRequest(_message.Message):
    __slots__ = ("model", "version", "page_size", "page_token")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    page_size: int
    page_token: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReceiptsResponse(_message.Message):
    __slots__ = ("receipts", "next_page_token", "lost_receipts")
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LOST_RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[_receipt_pb2.Receipt]
    next_page_token: str
    lost_receipts: int
    def __init__(self, receipts: _Optional[_Iterable[_Union[_receipt_pb2.Receipt, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., lost_receipts: _Optional[int] = ...) -> None: ...

class ReplayPredictionRequest(_message.Message):
    __slots__ = ("prediction_id", "receipt", "version")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    receipt: _receipt_pb2.Receipt
    version: int
    def __init__(self, prediction_id: _Optional[str] = ..., receipt: _Optional[_Union[_receipt_pb2.Receipt, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class OutputDifference(_message.Message):
    __slots__ = ("name", "identical", "different_elements", "elements", "max_difference")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IDENTICAL_FIELD_NUMBER: _ClassVar[int]
    DIFFERENT_ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    MAX_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    identical: bool
    different_elements: int
    elements: int
    max_difference: float
    def __init__(self, name: _Optional[str] = ..., identical: _Optional[bool] = ..., different_elements: _Optional[int] = ..., elements: _Optional[int] = ..., max_difference: _Optional[float] = ...) -> None: ...

class ReplayPredictionResponse(_message.Message):
    __slots__ = ("verdict", "version", "digest", "numerics", "runtime", "recorded_outputs_digest", "outputs_digest", "outputs", "response")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[ReplayPredictionResponse.Verdict]
        VERDICT_IDENTICAL: _ClassVar[ReplayPredictionResponse.Verdict]
        VERDICT_DIFFERENT: _ClassVar[ReplayPredictionResponse.Verdict]
        VERDICT_BROKEN: _ClassVar[ReplayPredictionResponse.Verdict]
    VERDICT_UNSPECIFIED: ReplayPredictionResponse.Verdict
    VERDICT_IDENTICAL: ReplayPredictionResponse.Verdict
    VERDICT_DIFFERENT: ReplayPredictionResponse.Verdict
    VERDICT_BROKEN: ReplayPredictionResponse.Verdict
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    RECORDED_OUTPUTS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    verdict: ReplayPredictionResponse.Verdict
    version: int
    digest: str
    numerics: _receipt_pb2.Receipt.Numerics
    runtime: str
    recorded_outputs_digest: str
    outputs_digest: str
    outputs: _containers.RepeatedCompositeFieldContainer[OutputDifference]
    response: bytes
    def __init__(self, verdict: _Optional[_Union[ReplayPredictionResponse.Verdict, str]] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., numerics: _Optional[_Union[_receipt_pb2.Receipt.Numerics, str]] = ..., runtime: _Optional[str] = ..., recorded_outputs_digest: _Optional[str] = ..., outputs_digest: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[OutputDifference, _Mapping]]] = ..., response: _Optional[bytes] = ...) -> None: ...

class ProveCandidateRequest(_message.Message):
    __slots__ = ("model", "baseline_version", "candidate_version", "source", "max_requests")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BASELINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    model: str
    baseline_version: int
    candidate_version: int
    source: _resources_pb2.Proof.Source
    max_requests: int
    def __init__(self, model: _Optional[str] = ..., baseline_version: _Optional[int] = ..., candidate_version: _Optional[int] = ..., source: _Optional[_Union[_resources_pb2.Proof.Source, str]] = ..., max_requests: _Optional[int] = ...) -> None: ...

class ProveCandidateResponse(_message.Message):
    __slots__ = ("proof",)
    PROOF_FIELD_NUMBER: _ClassVar[int]
    proof: _resources_pb2.Proof
    def __init__(self, proof: _Optional[_Union[_resources_pb2.Proof, _Mapping]] = ...) -> None: ...
