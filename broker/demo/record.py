"""What the demo's broker has recorded: verified, searched for a debtor, and proven by an independent program."""

import asyncio
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from broker.client import Lookup, Receipt
from broker.demo.testbed import DemoFailedError, output

_INDEPENDENT = "aics_tlog"
"""An implementation of the C2SP formats that shares no code with ours; it comes with the development set-up."""
_LOOK = 0.05  # s between two looks whether an entry has been published


async def show_record(folder: Path, screen: Console, receipt: Receipt, debtor: Lookup) -> None:
    """Shows what an inspector does. `folder`: of the demo. Raises `DemoFailedError` if anything is wrong."""
    log = folder / "audit" / receipt.log.rpartition("/")[2]
    key = folder / "verifier-key"  # an inspector does not take it from where the log is
    key.write_bytes((log / "verifier-key").read_bytes())
    await _verify(folder, screen, key)
    await _who_asked(folder, screen, debtor)
    await _prove(folder, screen, receipt, log, key)


async def _verify(folder: Path, screen: Console, key: Path) -> None:
    options = ("--key", str(key), "--key-file", str(folder / "audit.key"), "--json")
    printed = await output("broker", "audit", "verify", str(folder / "audit"), *options)
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    if result["faults"]:
        raise DemoFailedError("the audit log does not verify")
    admitted = sum(log["admitted"] for log in result["logs"])
    screen.print(
        f"broker audit verify: {result['entries']:,} entries about {admitted:,} requests and {result['inquiries']:,}"
        " inquiries, every hash and signature recomputed: 0 faults"
    )


async def _who_asked(folder: Path, screen: Console, debtor: Lookup) -> None:
    subject = folder / "subject"
    subject.write_text(f"{debtor.person.document_number}\n{debtor.person.name}\n", encoding="utf-8")
    options = ("--type", "RESIDENT_ID", "--key-file", str(folder / "audit.key"), "--subject-file", str(subject))
    printed = await output("broker", "audit", "who-asked", str(folder / "audit"), *options, "--json")
    asked = [json.loads(line) for line in printed.splitlines()]
    if not asked:
        raise DemoFailedError("the audit log does not know who asked about a debtor")
    courts = ", ".join(sorted({one["court"] for one in asked}))
    screen.print(f"broker audit who-asked: {len(asked)} requests were about the first debtor, of court {courts}")


async def _prove(folder: Path, screen: Console, receipt: Receipt, log: Path, key: Path) -> None:
    path = folder / "receipt.tlog-proof"
    path.write_text(receipt.text, encoding="utf-8")
    await output("broker", "audit", "prove", "--check", str(path), "--key", str(key))
    screen.print(f"broker audit prove: the court's receipt proves entry {receipt.index} of {receipt.log}")
    if find_spec(_INDEPENDENT) is None:
        screen.print(f"{_INDEPENDENT} is not installed, so no independent program was asked")
        return
    while _published(log) <= receipt.index:  # noqa: ASYNC110 - another process publishes
        await asyncio.sleep(_LOOK)
    options = ("--index", str(receipt.index), "--tiles", str(log), "--vkey-file", str(key))
    await output(_INDEPENDENT, "verify-inclusion", *options)
    screen.print(f"{_INDEPENDENT}, an independent implementation, proves the same from the published tiles")


def _published(log: Path) -> int:
    """How many entries the published checkpoint covers."""
    checkpoint = log / "checkpoint"
    return int(checkpoint.read_text(encoding="utf-8").split("\n")[1]) if checkpoint.exists() else 0
