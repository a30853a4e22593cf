"""What courts call the columns of a file of lookups, and the types of documents, in Chinese and in English."""

from functools import lru_cache

from broker.client import SubjectType

COLUMNS = ("ref", "type", "number", "name")
TYPES = ", ".join(SubjectType.__members__)

_T = SubjectType

_COLUMN_NAMES = {
    "ref": ("ref", "reference", "lookup_id", "序号", "编号", "流水号"),
    "type": ("type", "document_type", "id_type", "subject_type", "证件类型", "证件种类", "证件类别", "类型"),
    "number": ("number", "document_number", "id_number", "id_no", "证件号码", "证件号", "证件编号", "号码"),
    "name": (
        *("name", "full_name", "debtor", "debtor_name", "姓名", "名称", "姓名/名称", "姓名（名称）", "姓名(名称)"),
        *("被执行人", "被执行人姓名", "被执行人名称", "被执行人姓名/名称", "单位名称", "企业名称", "当事人"),
    ),
}
_TYPED_NUMBERS = {
    _T.RESIDENT_ID: ("resident_id", "身份证", "身份证号", "身份证号码", "公民身份号码"),
    _T.ORGANIZATION_CODE: ("organization_code", "uscc", "统一社会信用代码", "组织机构代码", "信用代码"),
    _T.PASSPORT: ("passport", "passport_number", "护照号", "护照号码"),
    _T.VEHICLE_PLATE: ("plate", "vehicle_plate", "车牌", "车牌号", "车牌号码", "号牌号码"),
    _T.VEHICLE_VIN: ("vin", "vehicle_vin", "车架号", "车辆识别代号"),
    _T.REAL_ESTATE_UNIT: ("real_estate_unit", "不动产单元号"),
    _T.BANK_ACCOUNT: ("bank_account", "银行账号", "银行账户", "银行卡号"),
    _T.SECURITIES_ACCOUNT: ("securities_account", "证券账户", "证券账号", "股东账号"),
}
"""Columns of numbers whose name says which type they have."""
_TYPE_NAMES = {
    _T.RESIDENT_ID: ("身份证", "居民身份证", "二代身份证", "第二代居民身份证", "公民身份号码"),
    _T.PASSPORT: ("护照", "普通护照"),
    _T.MILITARY_ID: ("军官证", "士兵证", "警官证", "军人证", "军人身份证件", "武警证"),
    _T.HK_MACAO_PERMIT: ("港澳居民来往内地通行证", "港澳居民通行证", "回乡证"),
    _T.TAIWAN_PERMIT: ("台湾居民来往大陆通行证", "台湾居民通行证", "台胞证"),
    _T.ORGANIZATION_CODE: ("统一社会信用代码", "组织机构代码", "组织机构代码证", "营业执照"),
    _T.VEHICLE_PLATE: ("车牌", "车牌号", "号牌号码"),
    _T.VEHICLE_VIN: ("车架号", "车辆识别代号"),
    _T.REAL_ESTATE_UNIT: ("不动产单元号",),
    _T.BANK_ACCOUNT: ("银行账号", "银行账户", "银行卡号"),
    _T.SECURITIES_ACCOUNT: ("证券账户", "证券账号", "股东账号"),
    _T.FOREIGN_PERMANENT_RESIDENT: ("外国人永久居留身份证", "外国人永久居留证"),
    _T.HONG_KONG_ID: ("香港身份证", "香港居民身份证", "香港永久性居民身份证"),
    _T.MACAO_ID: ("澳门身份证", "澳门居民身份证"),
    _T.TAIWAN_ID: ("台湾身份证", "台湾居民身份证"),
}

_columns: dict[str, str] = {one: column for column, names in _COLUMN_NAMES.items() for one in names}
_typed: dict[str, SubjectType] = {one: subject_type for subject_type, names in _TYPED_NUMBERS.items() for one in names}
_types: dict[str, SubjectType] = {
    **{one: subject_type for subject_type, names in _TYPE_NAMES.items() for one in names},
    **SubjectType.__members__,
}


def column_of(header: str) -> str:
    """The column that a header names; empty if it is none of them."""
    name = _plain(header).lower().replace("-", "_")
    return "number" if name in _typed else _columns.get(name, "")


def type_of_column(header: str) -> SubjectType | None:
    """The type of the numbers in a column, if its header names one."""
    return _typed.get(_plain(header).lower().replace("-", "_"))


@lru_cache(maxsize=256)  # a file has few
def parse_type(text: str) -> SubjectType:
    """The subject type with this name. Raises `ValueError`."""
    name = _plain(text)
    found = _types.get(name) or _types.get(name.upper().replace("-", "_"))
    if found is None:
        raise ValueError(f"must be one of {TYPES}, or its Chinese name, such as 居民身份证")
    return found


def _plain(text: str) -> str:
    """Without blanks, which are typesetting in Chinese, and separate words in English."""
    words = text.split()
    return ("_" if text.isascii() else "").join(words)
