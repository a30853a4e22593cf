"""All dialects, by their names in the configuration. A new dialect is a module in this package and a line here."""

from broker.institutions.interface import Dialect
from broker.institutions.json_http import JsonDialect
from broker.institutions.protobuf_http import ProtobufDialect

DIALECTS: dict[str, Dialect] = {"json": JsonDialect(), "protobuf": ProtobufDialect()}
