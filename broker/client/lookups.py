"""Lookups, one constructor for each thing that can be asked. The broker checks them; nothing is checked here.

`ref` is the caller's own name for the lookup, 1 to 64 characters; its reports carry it.
"""

from collections.abc import Callable, Mapping

from broker.model import SubjectType
from broker.v1 import investigation_pb2 as pb


def person(ref: str, name: str, number: str, *, document_type: SubjectType = SubjectType.RESIDENT_ID) -> pb.Lookup:
    """What does this natural person own?"""
    who = pb.Person(name=name, document_type=f"DOCUMENT_TYPE_{document_type.name}", document_number=number)
    return pb.Lookup(ref=ref, person=who)


def organization(ref: str, name: str, code: str) -> pb.Lookup:
    """What does this organisation own? `code`: unified social credit code, or the legacy organisation code."""
    return pb.Lookup(ref=ref, organization=pb.Organization(name=name, code=code))


def vehicle_plate(ref: str, plate: str) -> pb.Lookup:
    """Who holds the vehicle with this plate?"""
    return pb.Lookup(ref=ref, property=pb.Property(vehicle_plate=plate))


def vehicle_vin(ref: str, vin: str) -> pb.Lookup:
    """Who holds the vehicle with this identification number?"""
    return pb.Lookup(ref=ref, property=pb.Property(vehicle_vin=vin))


def real_estate_unit(ref: str, number: str) -> pb.Lookup:
    """Who holds the unit with this number, of the national cadastre's 28 characters?"""
    return pb.Lookup(ref=ref, property=pb.Property(real_estate_unit=number))


def bank_account(ref: str, number: str) -> pb.Lookup:
    """Who holds this account?"""
    return pb.Lookup(ref=ref, property=pb.Property(bank_account=number))


def securities_account(ref: str, number: str) -> pb.Lookup:
    """Who holds this securities account?"""
    return pb.Lookup(ref=ref, property=pb.Property(securities_account=number))


_THINGS: Mapping[SubjectType, Callable[[str, str], pb.Lookup]] = {
    SubjectType.VEHICLE_PLATE: vehicle_plate,
    SubjectType.VEHICLE_VIN: vehicle_vin,
    SubjectType.REAL_ESTATE_UNIT: real_estate_unit,
    SubjectType.BANK_ACCOUNT: bank_account,
    SubjectType.SECURITIES_ACCOUNT: securities_account,
}


def lookup(ref: str, subject_type: SubjectType, number: str, name: str = "") -> pb.Lookup:
    """A lookup of any type, as it stands in a table. The name of a thing is ignored."""
    if subject_type is SubjectType.ORGANIZATION_CODE:
        return organization(ref, name, number)
    if thing := _THINGS.get(subject_type):
        return thing(ref, number)
    return person(ref, name, number, document_type=subject_type)
