from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class SubjectType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBJECT_TYPE_UNSPECIFIED: _ClassVar[SubjectType]
    SUBJECT_TYPE_RESIDENT_ID: _ClassVar[SubjectType]
    SUBJECT_TYPE_PASSPORT: _ClassVar[SubjectType]
    SUBJECT_TYPE_MILITARY_ID: _ClassVar[SubjectType]
    SUBJECT_TYPE_HK_MACAO_PERMIT: _ClassVar[SubjectType]
    SUBJECT_TYPE_TAIWAN_PERMIT: _ClassVar[SubjectType]
    SUBJECT_TYPE_ORGANIZATION_CODE: _ClassVar[SubjectType]
    SUBJECT_TYPE_VEHICLE_PLATE: _ClassVar[SubjectType]
    SUBJECT_TYPE_VEHICLE_VIN: _ClassVar[SubjectType]
    SUBJECT_TYPE_REAL_ESTATE_UNIT: _ClassVar[SubjectType]
    SUBJECT_TYPE_BANK_ACCOUNT: _ClassVar[SubjectType]
    SUBJECT_TYPE_SECURITIES_ACCOUNT: _ClassVar[SubjectType]
    SUBJECT_TYPE_FOREIGN_PERMANENT_RESIDENT: _ClassVar[SubjectType]
    SUBJECT_TYPE_HONG_KONG_ID: _ClassVar[SubjectType]
    SUBJECT_TYPE_MACAO_ID: _ClassVar[SubjectType]
    SUBJECT_TYPE_TAIWAN_ID: _ClassVar[SubjectType]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_FOUND: _ClassVar[Outcome]
    OUTCOME_NOT_FOUND: _ClassVar[Outcome]
    OUTCOME_REFUSED: _ClassVar[Outcome]
    OUTCOME_INVALID: _ClassVar[Outcome]
    OUTCOME_UNAVAILABLE: _ClassVar[Outcome]
    OUTCOME_TIMED_OUT: _ClassVar[Outcome]
    OUTCOME_PENDING: _ClassVar[Outcome]
SUBJECT_TYPE_UNSPECIFIED: SubjectType
SUBJECT_TYPE_RESIDENT_ID: SubjectType
SUBJECT_TYPE_PASSPORT: SubjectType
SUBJECT_TYPE_MILITARY_ID: SubjectType
SUBJECT_TYPE_HK_MACAO_PERMIT: SubjectType
SUBJECT_TYPE_TAIWAN_PERMIT: SubjectType
SUBJECT_TYPE_ORGANIZATION_CODE: SubjectType
SUBJECT_TYPE_VEHICLE_PLATE: SubjectType
SUBJECT_TYPE_VEHICLE_VIN: SubjectType
SUBJECT_TYPE_REAL_ESTATE_UNIT: SubjectType
SUBJECT_TYPE_BANK_ACCOUNT: SubjectType
SUBJECT_TYPE_SECURITIES_ACCOUNT: SubjectType
SUBJECT_TYPE_FOREIGN_PERMANENT_RESIDENT: SubjectType
SUBJECT_TYPE_HONG_KONG_ID: SubjectType
SUBJECT_TYPE_MACAO_ID: SubjectType
SUBJECT_TYPE_TAIWAN_ID: SubjectType
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_FOUND: Outcome
OUTCOME_NOT_FOUND: Outcome
OUTCOME_REFUSED: Outcome
OUTCOME_INVALID: Outcome
OUTCOME_UNAVAILABLE: Outcome
OUTCOME_TIMED_OUT: Outcome
OUTCOME_PENDING: Outcome

class Mandate(_message.Message):
    __slots__ = ("court_code", "officer", "case_number", "legal_document")
    COURT_CODE_FIELD_NUMBER: _ClassVar[int]
    OFFICER_FIELD_NUMBER: _ClassVar[int]
    CASE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LEGAL_DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    court_code: str
    officer: str
    case_number: str
    legal_document: str
    def __init__(self, court_code: _Optional[str] = ..., officer: _Optional[str] = ..., case_number: _Optional[str] = ..., legal_document: _Optional[str] = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("reason", "field", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    field: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
