"""`broker institutions` and `broker health`: which institutions can be asked, and whether the broker is serving."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from google.protobuf.json_format import MessageToJson

from broker.cli.exits import Exit, fail, fail_because
from broker.client import Client, ClientError
from broker.formats.tables import console, institutions_table

T = TypeVar("T")

broker_option = click.option(
    "--broker",
    "address",
    default="127.0.0.1:50051",
    show_default=True,
    envvar="BROKER_ADDRESS",
    show_envvar=True,
    metavar="HOST:PORT",
    help="Address of the broker.",
)


@click.command()
@click.option(
    "--court", default="", metavar="CODE", help="List only the institutions that this court can reach, such as 京0101."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@broker_option
def institutions(court: str, address: str, *, as_json: bool) -> None:
    """List the institutions that can be asked, and their health.

    \b
    broker institutions
    broker institutions --court 沪01 --json
    """  # noqa: D301 - click reads the backspaces
    listed = _ask(address, lambda client: client.institutions(court))
    if as_json:
        for one in listed:
            click.echo(MessageToJson(one, preserving_proto_field_name=True, indent=None, ensure_ascii=False))
    else:
        console().print(institutions_table(listed))


@click.command()
@broker_option
def health(address: str) -> None:
    """Check whether the broker accepts requests. The exit code is 0 if it does, else 4."""
    if not _ask(address, lambda client: client.health()):
        fail(f"{address} does not accept requests at present", Exit.UNAVAILABLE)
    click.echo(f"{address} accepts requests")


def _ask(address: str, question: Callable[[Client], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with Client(address, channels=1) as client:
            return await question(client)

    try:
        return asyncio.run(ask())
    except ClientError as error:
        fail_because(error)
