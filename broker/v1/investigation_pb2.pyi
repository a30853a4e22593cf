import datetime

from broker.v1 import asset_pb2 as _asset_pb2
from broker.v1 import inquiry_pb2 as _inquiry_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InstitutionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INSTITUTION_KIND_UNSPECIFIED: _ClassVar[InstitutionKind]
    INSTITUTION_KIND_BANK: _ClassVar[InstitutionKind]
    INSTITUTION_KIND_VEHICLE: _ClassVar[InstitutionKind]
    INSTITUTION_KIND_SECURITIES: _ClassVar[InstitutionKind]
    INSTITUTION_KIND_REAL_ESTATE: _ClassVar[InstitutionKind]

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_INTERACTIVE: _ClassVar[Priority]
    PRIORITY_BULK: _ClassVar[Priority]

class Delivery(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_UNSPECIFIED: _ClassVar[Delivery]
    DELIVERY_COMPLETE: _ClassVar[Delivery]
    DELIVERY_INCREMENTAL: _ClassVar[Delivery]

class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOURCE_UNSPECIFIED: _ClassVar[Source]
    SOURCE_INSTITUTION: _ClassVar[Source]
    SOURCE_CACHE: _ClassVar[Source]
    SOURCE_FLIGHT: _ClassVar[Source]
    SOURCE_BROKER: _ClassVar[Source]

class InstitutionHealth(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INSTITUTION_HEALTH_UNSPECIFIED: _ClassVar[InstitutionHealth]
    INSTITUTION_HEALTH_SERVING: _ClassVar[InstitutionHealth]
    INSTITUTION_HEALTH_DEGRADED: _ClassVar[InstitutionHealth]
    INSTITUTION_HEALTH_UNREACHABLE: _ClassVar[InstitutionHealth]
INSTITUTION_KIND_UNSPECIFIED: InstitutionKind
INSTITUTION_KIND_BANK: InstitutionKind
INSTITUTION_KIND_VEHICLE: InstitutionKind
INSTITUTION_KIND_SECURITIES: InstitutionKind
INSTITUTION_KIND_REAL_ESTATE: InstitutionKind
PRIORITY_UNSPECIFIED: Priority
PRIORITY_INTERACTIVE: Priority
PRIORITY_BULK: Priority
DELIVERY_UNSPECIFIED: Delivery
DELIVERY_COMPLETE: Delivery
DELIVERY_INCREMENTAL: Delivery
SOURCE_UNSPECIFIED: Source
SOURCE_INSTITUTION: Source
SOURCE_CACHE: Source
SOURCE_FLIGHT: Source
SOURCE_BROKER: Source
INSTITUTION_HEALTH_UNSPECIFIED: InstitutionHealth
INSTITUTION_HEALTH_SERVING: InstitutionHealth
INSTITUTION_HEALTH_DEGRADED: InstitutionHealth
INSTITUTION_HEALTH_UNREACHABLE: InstitutionHealth

class InvestigateRequest(_message.Message):
    __slots__ = ("mandate", "lookups", "institution_ids", "kinds", "max_age", "priority", "delivery", "request_id")
    MANDATE_FIELD_NUMBER: _ClassVar[int]
    LOOKUPS_FIELD_NUMBER: _ClassVar[int]
    INSTITUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    mandate: _inquiry_pb2.Mandate
    lookups: _containers.RepeatedCompositeFieldContainer[Lookup]
    institution_ids: _containers.RepeatedScalarFieldContainer[str]
    kinds: _containers.RepeatedScalarFieldContainer[InstitutionKind]
    max_age: _duration_pb2.Duration
    priority: Priority
    delivery: Delivery
    request_id: str
    def __init__(self, mandate: _Optional[_Union[_inquiry_pb2.Mandate, _Mapping]] = ..., lookups: _Optional[_Iterable[_Union[Lookup, _Mapping]]] = ..., institution_ids: _Optional[_Iterable[str]] = ..., kinds: _Optional[_Iterable[_Union[InstitutionKind, str]]] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., priority: _Optional[_Union[Priority, str]] = ..., delivery: _Optional[_Union[Delivery, str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class Lookup(_message.Message):
    __slots__ = ("ref", "person", "organization", "property")
    REF_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    PROPERTY_FIELD_NUMBER: _ClassVar[int]
    ref: str
    person: Person
    organization: Organization
    property: Property
    def __init__(self, ref: _Optional[str] = ..., person: _Optional[_Union[Person, _Mapping]] = ..., organization: _Optional[_Union[Organization, _Mapping]] = ..., property: _Optional[_Union[Property, _Mapping]] = ...) -> None: ...

class Person(_message.Message):
    __slots__ = ("name", "document_type", "document_number")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    name: str
    document_type: _asset_pb2.DocumentType
    document_number: str
    def __init__(self, name: _Optional[str] = ..., document_type: _Optional[_Union[_asset_pb2.DocumentType, str]] = ..., document_number: _Optional[str] = ...) -> None: ...

class Organization(_message.Message):
    __slots__ = ("name", "code")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    name: str
    code: str
    def __init__(self, name: _Optional[str] = ..., code: _Optional[str] = ...) -> None: ...

class Property(_message.Message):
    __slots__ = ("vehicle_plate", "vehicle_vin", "real_estate_unit", "bank_account", "securities_account")
    VEHICLE_PLATE_FIELD_NUMBER: _ClassVar[int]
    VEHICLE_VIN_FIELD_NUMBER: _ClassVar[int]
    REAL_ESTATE_UNIT_FIELD_NUMBER: _ClassVar[int]
    BANK_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SECURITIES_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    vehicle_plate: str
    vehicle_vin: str
    real_estate_unit: str
    bank_account: str
    securities_account: str
    def __init__(self, vehicle_plate: _Optional[str] = ..., vehicle_vin: _Optional[str] = ..., real_estate_unit: _Optional[str] = ..., bank_account: _Optional[str] = ..., securities_account: _Optional[str] = ...) -> None: ...

class InvestigateResponse(_message.Message):
    __slots__ = ("reports", "summary")
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[Report]
    summary: Summary
    def __init__(self, reports: _Optional[_Iterable[_Union[Report, _Mapping]]] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("ref", "position", "final", "complete", "answers", "warnings")
    REF_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ref: str
    position: int
    final: bool
    complete: bool
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    warnings: _containers.RepeatedCompositeFieldContainer[_inquiry_pb2.Problem]
    def __init__(self, ref: _Optional[str] = ..., position: _Optional[int] = ..., final: _Optional[bool] = ..., complete: _Optional[bool] = ..., answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_inquiry_pb2.Problem, _Mapping]]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("institution_id", "outcome", "observed_at", "problem", "assets", "source", "found_as")
    INSTITUTION_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_AT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    ASSETS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FOUND_AS_FIELD_NUMBER: _ClassVar[int]
    institution_id: str
    outcome: _inquiry_pb2.Outcome
    observed_at: _timestamp_pb2.Timestamp
    problem: _inquiry_pb2.Problem
    assets: _containers.RepeatedCompositeFieldContainer[_asset_pb2.Asset]
    source: Source
    found_as: str
    def __init__(self, institution_id: _Optional[str] = ..., outcome: _Optional[_Union[_inquiry_pb2.Outcome, str]] = ..., observed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., problem: _Optional[_Union[_inquiry_pb2.Problem, _Mapping]] = ..., assets: _Optional[_Iterable[_Union[_asset_pb2.Asset, _Mapping]]] = ..., source: _Optional[_Union[Source, str]] = ..., found_as: _Optional[str] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("request_id", "lookups", "inquiries", "outcomes", "sources", "unavailable_institution_ids", "complete", "elapsed", "receipt")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LOOKUPS_FIELD_NUMBER: _ClassVar[int]
    INQUIRIES_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_INSTITUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    lookups: int
    inquiries: int
    outcomes: _containers.RepeatedCompositeFieldContainer[OutcomeCount]
    sources: _containers.RepeatedCompositeFieldContainer[SourceCount]
    unavailable_institution_ids: _containers.RepeatedScalarFieldContainer[str]
    complete: bool
    elapsed: _duration_pb2.Duration
    receipt: Receipt
    def __init__(self, request_id: _Optional[str] = ..., lookups: _Optional[int] = ..., inquiries: _Optional[int] = ..., outcomes: _Optional[_Iterable[_Union[OutcomeCount, _Mapping]]] = ..., sources: _Optional[_Iterable[_Union[SourceCount, _Mapping]]] = ..., unavailable_institution_ids: _Optional[_Iterable[str]] = ..., complete: _Optional[bool] = ..., elapsed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("log", "index", "entry", "proof")
    LOG_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    log: str
    index: int
    entry: bytes
    proof: str
    def __init__(self, log: _Optional[str] = ..., index: _Optional[int] = ..., entry: _Optional[bytes] = ..., proof: _Optional[str] = ...) -> None: ...

class OutcomeCount(_message.Message):
    __slots__ = ("outcome", "count")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    outcome: _inquiry_pb2.Outcome
    count: int
    def __init__(self, outcome: _Optional[_Union[_inquiry_pb2.Outcome, str]] = ..., count: _Optional[int] = ...) -> None: ...

class SourceCount(_message.Message):
    __slots__ = ("source", "count")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    source: Source
    count: int
    def __init__(self, source: _Optional[_Union[Source, str]] = ..., count: _Optional[int] = ...) -> None: ...

class ListInstitutionsRequest(_message.Message):
    __slots__ = ("court_code",)
    COURT_CODE_FIELD_NUMBER: _ClassVar[int]
    court_code: str
    def __init__(self, court_code: _Optional[str] = ...) -> None: ...

class ListInstitutionsResponse(_message.Message):
    __slots__ = ("institutions",)
    INSTITUTIONS_FIELD_NUMBER: _ClassVar[int]
    institutions: _containers.RepeatedCompositeFieldContainer[Institution]
    def __init__(self, institutions: _Optional[_Iterable[_Union[Institution, _Mapping]]] = ...) -> None: ...

class Institution(_message.Message):
    __slots__ = ("id", "display_name", "kind", "region", "health", "found_lifetime", "not_found_lifetime")
    ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    FOUND_LIFETIME_FIELD_NUMBER: _ClassVar[int]
    NOT_FOUND_LIFETIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    display_name: str
    kind: InstitutionKind
    region: str
    health: InstitutionHealth
    found_lifetime: _duration_pb2.Duration
    not_found_lifetime: _duration_pb2.Duration
    def __init__(self, id: _Optional[str] = ..., display_name: _Optional[str] = ..., kind: _Optional[_Union[InstitutionKind, str]] = ..., region: _Optional[str] = ..., health: _Optional[_Union[InstitutionHealth, str]] = ..., found_lifetime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., not_found_lifetime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
