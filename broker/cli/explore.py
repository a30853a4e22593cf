"""`broker institutions` and `broker health`: which institutions can be asked, and whether the broker is serving."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from google.protobuf.json_format import MessageToJson

from broker.cli.connection import Connection, connection_options
from broker.cli.exits import Exit, fail, fail_because, without_traceback
from broker.cli.profile import connection_profile_option
from broker.client import Client, ClientError
from broker.formats.tables import console, institutions_table

T = TypeVar("T")


@click.command()
@click.option(
    "--court", default="", metavar="CODE", help="List only the institutions that this court can reach, such as 京0101."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@connection_profile_option
@connection_options
@without_traceback()
def institutions(court: str, connection: Connection, *, as_json: bool) -> None:
    """List the institutions that can be asked, and their health.

    \b
    broker institutions
    broker institutions --court 沪01 --json
    """  # noqa: D301 - click reads the backspaces
    listed = _ask(connection, lambda client: client.institutions(court))
    if as_json:
        for one in listed:
            click.echo(MessageToJson(one, preserving_proto_field_name=True, indent=None, ensure_ascii=False))
    else:
        console().print(institutions_table(listed))


@click.command()
@connection_profile_option
@connection_options
@without_traceback()
def health(connection: Connection) -> None:
    """Check whether the broker accepts requests. The exit code is 0 if it does, else 4.

    Over TLS a certificate is needed; that of the broker itself will do, for the check of a container for example.
    """
    if not _ask(connection, lambda client: client.health()):
        fail(f"{connection.address} does not accept requests at present", Exit.UNAVAILABLE)
    click.echo(f"{connection.address} accepts requests")


def _ask(connection: Connection, question: Callable[[Client], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with Client(connection.address, credentials=connection.credentials, channels=1) as client:
            return await question(client)

    try:
        return asyncio.run(ask())
    except ClientError as error:
        fail_because(error)
