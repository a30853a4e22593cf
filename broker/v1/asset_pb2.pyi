from google.type import date_pb2 as _date_pb2
from google.type import decimal_pb2 as _decimal_pb2
from google.type import money_pb2 as _money_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DocumentType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DOCUMENT_TYPE_UNSPECIFIED: _ClassVar[DocumentType]
    DOCUMENT_TYPE_RESIDENT_ID: _ClassVar[DocumentType]
    DOCUMENT_TYPE_PASSPORT: _ClassVar[DocumentType]
    DOCUMENT_TYPE_MILITARY_ID: _ClassVar[DocumentType]
    DOCUMENT_TYPE_HK_MACAO_PERMIT: _ClassVar[DocumentType]
    DOCUMENT_TYPE_TAIWAN_PERMIT: _ClassVar[DocumentType]
    DOCUMENT_TYPE_ORGANIZATION_CODE: _ClassVar[DocumentType]
    DOCUMENT_TYPE_FOREIGN_PERMANENT_RESIDENT: _ClassVar[DocumentType]
    DOCUMENT_TYPE_HONG_KONG_ID: _ClassVar[DocumentType]
    DOCUMENT_TYPE_MACAO_ID: _ClassVar[DocumentType]
    DOCUMENT_TYPE_TAIWAN_ID: _ClassVar[DocumentType]

class MeasureType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MEASURE_TYPE_UNSPECIFIED: _ClassVar[MeasureType]
    MEASURE_TYPE_FREEZE: _ClassVar[MeasureType]
    MEASURE_TYPE_WAITING_FREEZE: _ClassVar[MeasureType]
    MEASURE_TYPE_SEIZURE: _ClassVar[MeasureType]
    MEASURE_TYPE_MORTGAGE: _ClassVar[MeasureType]

class AccountStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCOUNT_STATUS_UNSPECIFIED: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_NORMAL: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_DORMANT: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_FROZEN: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_CLOSED: _ClassVar[AccountStatus]
DOCUMENT_TYPE_UNSPECIFIED: DocumentType
DOCUMENT_TYPE_RESIDENT_ID: DocumentType
DOCUMENT_TYPE_PASSPORT: DocumentType
DOCUMENT_TYPE_MILITARY_ID: DocumentType
DOCUMENT_TYPE_HK_MACAO_PERMIT: DocumentType
DOCUMENT_TYPE_TAIWAN_PERMIT: DocumentType
DOCUMENT_TYPE_ORGANIZATION_CODE: DocumentType
DOCUMENT_TYPE_FOREIGN_PERMANENT_RESIDENT: DocumentType
DOCUMENT_TYPE_HONG_KONG_ID: DocumentType
DOCUMENT_TYPE_MACAO_ID: DocumentType
DOCUMENT_TYPE_TAIWAN_ID: DocumentType
MEASURE_TYPE_UNSPECIFIED: MeasureType
MEASURE_TYPE_FREEZE: MeasureType
MEASURE_TYPE_WAITING_FREEZE: MeasureType
MEASURE_TYPE_SEIZURE: MeasureType
MEASURE_TYPE_MORTGAGE: MeasureType
ACCOUNT_STATUS_UNSPECIFIED: AccountStatus
ACCOUNT_STATUS_NORMAL: AccountStatus
ACCOUNT_STATUS_DORMANT: AccountStatus
ACCOUNT_STATUS_FROZEN: AccountStatus
ACCOUNT_STATUS_CLOSED: AccountStatus

class Asset(_message.Message):
    __slots__ = ("holders", "measures", "account", "vehicle", "holding", "real_estate_unit")
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    VEHICLE_FIELD_NUMBER: _ClassVar[int]
    HOLDING_FIELD_NUMBER: _ClassVar[int]
    REAL_ESTATE_UNIT_FIELD_NUMBER: _ClassVar[int]
    holders: _containers.RepeatedCompositeFieldContainer[Holder]
    measures: _containers.RepeatedCompositeFieldContainer[JudicialMeasure]
    account: Account
    vehicle: Vehicle
    holding: SecuritiesHolding
    real_estate_unit: RealEstateUnit
    def __init__(self, holders: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., measures: _Optional[_Iterable[_Union[JudicialMeasure, _Mapping]]] = ..., account: _Optional[_Union[Account, _Mapping]] = ..., vehicle: _Optional[_Union[Vehicle, _Mapping]] = ..., holding: _Optional[_Union[SecuritiesHolding, _Mapping]] = ..., real_estate_unit: _Optional[_Union[RealEstateUnit, _Mapping]] = ...) -> None: ...

class Holder(_message.Message):
    __slots__ = ("name", "document_type", "document_number", "share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    document_type: DocumentType
    document_number: str
    share: str
    def __init__(self, name: _Optional[str] = ..., document_type: _Optional[_Union[DocumentType, str]] = ..., document_number: _Optional[str] = ..., share: _Optional[str] = ...) -> None: ...

class JudicialMeasure(_message.Message):
    __slots__ = ("type", "authority", "document_number", "amount", "starts_on", "ends_on", "rank")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    STARTS_ON_FIELD_NUMBER: _ClassVar[int]
    ENDS_ON_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    type: MeasureType
    authority: str
    document_number: str
    amount: _money_pb2.Money
    starts_on: _date_pb2.Date
    ends_on: _date_pb2.Date
    rank: int
    def __init__(self, type: _Optional[_Union[MeasureType, str]] = ..., authority: _Optional[str] = ..., document_number: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., starts_on: _Optional[_Union[_date_pb2.Date, _Mapping]] = ..., ends_on: _Optional[_Union[_date_pb2.Date, _Mapping]] = ..., rank: _Optional[int] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("account_number", "category", "status", "branch", "opened_on", "balance", "available_balance")
    ACCOUNT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    OPENED_ON_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_BALANCE_FIELD_NUMBER: _ClassVar[int]
    account_number: str
    category: str
    status: AccountStatus
    branch: str
    opened_on: _date_pb2.Date
    balance: _money_pb2.Money
    available_balance: _money_pb2.Money
    def __init__(self, account_number: _Optional[str] = ..., category: _Optional[str] = ..., status: _Optional[_Union[AccountStatus, str]] = ..., branch: _Optional[str] = ..., opened_on: _Optional[_Union[_date_pb2.Date, _Mapping]] = ..., balance: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., available_balance: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...

class Vehicle(_message.Message):
    __slots__ = ("plate", "vin", "model", "registered_on", "inspection_valid_until", "mortgaged")
    PLATE_FIELD_NUMBER: _ClassVar[int]
    VIN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_ON_FIELD_NUMBER: _ClassVar[int]
    INSPECTION_VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    MORTGAGED_FIELD_NUMBER: _ClassVar[int]
    plate: str
    vin: str
    model: str
    registered_on: _date_pb2.Date
    inspection_valid_until: _date_pb2.Date
    mortgaged: bool
    def __init__(self, plate: _Optional[str] = ..., vin: _Optional[str] = ..., model: _Optional[str] = ..., registered_on: _Optional[_Union[_date_pb2.Date, _Mapping]] = ..., inspection_valid_until: _Optional[_Union[_date_pb2.Date, _Mapping]] = ..., mortgaged: _Optional[bool] = ...) -> None: ...

class SecuritiesHolding(_message.Message):
    __slots__ = ("account_number", "security_code", "security_name", "quantity", "frozen_quantity", "custodian", "market_value")
    ACCOUNT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SECURITY_CODE_FIELD_NUMBER: _ClassVar[int]
    SECURITY_NAME_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    FROZEN_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    CUSTODIAN_FIELD_NUMBER: _ClassVar[int]
    MARKET_VALUE_FIELD_NUMBER: _ClassVar[int]
    account_number: str
    security_code: str
    security_name: str
    quantity: int
    frozen_quantity: int
    custodian: str
    market_value: _money_pb2.Money
    def __init__(self, account_number: _Optional[str] = ..., security_code: _Optional[str] = ..., security_name: _Optional[str] = ..., quantity: _Optional[int] = ..., frozen_quantity: _Optional[int] = ..., custodian: _Optional[str] = ..., market_value: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...

class RealEstateUnit(_message.Message):
    __slots__ = ("unit_number", "certificate_number", "location", "usage", "right_type", "area_square_metres", "registered_on", "term_ends_on")
    UNIT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    RIGHT_TYPE_FIELD_NUMBER: _ClassVar[int]
    AREA_SQUARE_METRES_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_ON_FIELD_NUMBER: _ClassVar[int]
    TERM_ENDS_ON_FIELD_NUMBER: _ClassVar[int]
    unit_number: str
    certificate_number: str
    location: str
    usage: str
    right_type: str
    area_square_metres: _decimal_pb2.Decimal
    registered_on: _date_pb2.Date
    term_ends_on: _date_pb2.Date
    def __init__(self, unit_number: _Optional[str] = ..., certificate_number: _Optional[str] = ..., location: _Optional[str] = ..., usage: _Optional[str] = ..., right_type: _Optional[str] = ..., area_square_metres: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., registered_on: _Optional[_Union[_date_pb2.Date, _Mapping]] = ..., term_ends_on: _Optional[_Union[_date_pb2.Date, _Mapping]] = ...) -> None: ...
