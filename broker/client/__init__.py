"""The Python client for court systems: takes any number of lookups, and yields reports as they arrive.

    async with Client("127.0.0.1:50051") as client:
        async with client.investigate(mandate, lookups, Terms(timeout=30)) as investigation:
            async for report in investigation:
                ...
        print(investigation.totals)

It requires asyncio, like grpc.aio; `BlockingClient` is for programs without it. The failure of an institution is data
in the reports; exceptions concern the request.
"""

from broker.client.blocking import BlockingClient, BlockingInvestigation
from broker.client.client import Client, RequestSigner
from broker.client.credentials import Credentials
from broker.client.errors import (
    BrokerUnavailableError,
    ClientError,
    HandshakeFailedError,
    OutOfTimeError,
    QuotaSpentError,
    RequestRefusedError,
)
from broker.client.investigation import Investigation, Terms
from broker.client.lookups import (
    bank_account,
    lookup,
    organization,
    person,
    real_estate_unit,
    securities_account,
    vehicle_plate,
    vehicle_vin,
)
from broker.client.receipts import Receipt
from broker.client.totals import Totals
from broker.errors import Violation
from broker.model import Kind, Outcome, Source, SubjectType
from broker.v1.inquiry_pb2 import Mandate
from broker.v1.investigation_pb2 import Institution, Lookup, Report

__all__ = [
    "BlockingClient",
    "BlockingInvestigation",
    "BrokerUnavailableError",
    "Client",
    "ClientError",
    "Credentials",
    "HandshakeFailedError",
    "Institution",
    "Investigation",
    "Kind",
    "Lookup",
    "Mandate",
    "OutOfTimeError",
    "Outcome",
    "QuotaSpentError",
    "Receipt",
    "Report",
    "RequestRefusedError",
    "RequestSigner",
    "Source",
    "SubjectType",
    "Terms",
    "Totals",
    "Violation",
    "bank_account",
    "lookup",
    "organization",
    "person",
    "real_estate_unit",
    "securities_account",
    "vehicle_plate",
    "vehicle_vin",
]
