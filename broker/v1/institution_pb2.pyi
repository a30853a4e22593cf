import datetime

from broker.v1 import asset_pb2 as _asset_pb2
from broker.v1 import inquiry_pb2 as _inquiry_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InquiryBatch(_message.Message):
    __slots__ = ("request_id", "institution_id", "attempt", "mandates", "inquiries")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INSTITUTION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MANDATES_FIELD_NUMBER: _ClassVar[int]
    INQUIRIES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    institution_id: str
    attempt: int
    mandates: _containers.RepeatedCompositeFieldContainer[_inquiry_pb2.Mandate]
    inquiries: _containers.RepeatedCompositeFieldContainer[Inquiry]
    def __init__(self, request_id: _Optional[str] = ..., institution_id: _Optional[str] = ..., attempt: _Optional[int] = ..., mandates: _Optional[_Iterable[_Union[_inquiry_pb2.Mandate, _Mapping]]] = ..., inquiries: _Optional[_Iterable[_Union[Inquiry, _Mapping]]] = ...) -> None: ...

class Inquiry(_message.Message):
    __slots__ = ("item", "mandate", "subject_type", "number", "name")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    MANDATE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_TYPE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    item: int
    mandate: int
    subject_type: _inquiry_pb2.SubjectType
    number: str
    name: str
    def __init__(self, item: _Optional[int] = ..., mandate: _Optional[int] = ..., subject_type: _Optional[_Union[_inquiry_pb2.SubjectType, str]] = ..., number: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class InquiryBatchReply(_message.Message):
    __slots__ = ("request_id", "replies")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    replies: _containers.RepeatedCompositeFieldContainer[InquiryReply]
    def __init__(self, request_id: _Optional[str] = ..., replies: _Optional[_Iterable[_Union[InquiryReply, _Mapping]]] = ...) -> None: ...

class InquiryReply(_message.Message):
    __slots__ = ("item", "outcome", "observed_at", "problem", "assets")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_AT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    ASSETS_FIELD_NUMBER: _ClassVar[int]
    item: int
    outcome: _inquiry_pb2.Outcome
    observed_at: _timestamp_pb2.Timestamp
    problem: _inquiry_pb2.Problem
    assets: _containers.RepeatedCompositeFieldContainer[_asset_pb2.Asset]
    def __init__(self, item: _Optional[int] = ..., outcome: _Optional[_Union[_inquiry_pb2.Outcome, str]] = ..., observed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., problem: _Optional[_Union[_inquiry_pb2.Problem, _Mapping]] = ..., assets: _Optional[_Iterable[_Union[_asset_pb2.Asset, _Mapping]]] = ...) -> None: ...
