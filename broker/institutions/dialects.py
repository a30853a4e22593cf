"""The dialects there are, by the names the registry uses. A new one is a file beside this and a line here."""

from broker.institutions.base import Dialect
from broker.institutions.json_http import JsonDialect
from broker.institutions.protobuf_http import ProtobufDialect

DIALECTS: dict[str, Dialect] = {"json": JsonDialect(), "protobuf": ProtobufDialect()}
