"""Four institutions over one population, and lookups that are worth asking about."""

import pytest

from mock_institutions.population import Lookup, Population
from mock_institutions.registry import Institution

SEED = 7
INSTITUTIONS = (
    Institution("bank-a", "bank", 0.30),
    Institution("vehicles", "vehicle", 0.25),
    Institution("securities", "securities", 0.15),
    Institution("land", "real_estate", 0.30),
)


@pytest.fixture(scope="session")
def population() -> Population:
    return Population(SEED)


@pytest.fixture(scope="session", params=INSTITUTIONS, ids=lambda institution: institution.kind)
def institution(request: pytest.FixtureRequest) -> Institution:
    chosen: Institution = request.param
    return chosen


@pytest.fixture(scope="session")
def subjects(population: Population, institution: Institution) -> list[Lookup]:
    """Persons, organisations, things, and every way to be unknown or wrong."""
    known = list(population.sample(200, 1, "persons"))
    known += population.sample(40, 2, "organisations")
    known += population.sample(40, 3, "properties", [institution])
    person = known[0]
    return [
        *known,
        person._replace(name="别人"),
        person._replace(number=person.number[:17] + ("0" if person.number[17] != "0" else "1")),
        person._replace(number="１" * 18),
        person._replace(number=""),
        Lookup("", "RESIDENT_ID", "990101199001010019", "外人"),
        Lookup("", "PASSPORT", "E12345678", "外人"),
        Lookup("", "PASSPORT", "", "外人"),
        Lookup("", "ORGANIZATION_CODE", "91350100M000100Y43", "外地公司"),
        Lookup("", "ORGANIZATION_CODE", "91350100M000100Y44", "外地公司"),
        Lookup("", "VEHICLE_PLATE", "京A12345", ""),
        Lookup("", "VEHICLE_VIN", "LZM00000000000000", ""),
        Lookup("", "REAL_ESTATE_UNIT", "110101001001GB00001F00010001", ""),
        Lookup("", "BANK_ACCOUNT", "6222020000000000000", ""),
        Lookup("", "SECURITIES_ACCOUNT", "A000000000000", ""),
    ]
