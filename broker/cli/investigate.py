"""`broker investigate`: sends a file of lookups, or one lookup, and prints the reports."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click

from broker.cli.connection import Connection, connection_options
from broker.cli.exits import EXIT_CODES, Exit, fail
from broker.cli.outputs import CsvTable, JsonLines, Only, Output, ReportTable, TotalsLine
from broker.cli.profile import profile_option
from broker.cli.resume import Done, ResumeError, open_private, take_up
from broker.cli.run import LookupSource, Run, Single, run_to_exit
from broker.client import Kind, Mandate, Outcome, RequestSigner, Terms
from broker.formats.columns import TYPES, parse_type
from broker.formats.lookup_file import LookupFile, LookupFileError
from broker.formats.tables import COLUMNS

_KINDS = {kind.name.lower().replace("_", "-"): kind for kind in Kind}
_ONLY = {
    "found": frozenset({Outcome.FOUND}),
    "open": frozenset({Outcome.UNAVAILABLE, Outcome.TIMED_OUT, Outcome.PENDING}),
    "invalid": frozenset({Outcome.INVALID, Outcome.REFUSED}),
}


@click.command(epilog=EXIT_CODES)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@profile_option
@click.option("--court", required=True, metavar="CODE", envvar="BROKER_COURT", help="Such as 最高法, 京, 京01, 京0101.")
@click.option("--officer", required=True, envvar="BROKER_OFFICER", help="Name or work-permit number.")
@click.option("--case", required=True, metavar="NUMBER", envvar="BROKER_CASE", help="A case of the same court.")
@click.option("--document", required=True, envvar="BROKER_DOCUMENT", help="Legal document that authorises the inquiry.")
@click.option("--type", "subject_type", help=f"Type of a single lookup, or of lines that name none: {TYPES}.")
@click.option("--number", help="Number of a single lookup.")
@click.option("--name", help="Name of a single lookup, if it is about a person or organisation.")
@click.option("--institution", "institutions", multiple=True, metavar="ID", help="Ask only this one. Repeatable.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(_KINDS)), help="Ask only these. Repeatable.")
@click.option(
    "--max-age", type=click.FloatRange(min=0), metavar="SECONDS", help="Accept cached answers up to this age; 0: none."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of the whole command; 0: none. What has no answer by then is reported as TIMED_OUT.",
)
@click.option("--bulk", is_flag=True, help="Give way to interactive requests.")
@click.option(
    "--incremental", is_flag=True, help="With --json: print answers as they arrive, in several reports per lookup."
)
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), help="Default: table, or by --output.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: JSON Lines, then the totals.")
@click.option("--only", type=click.Choice(list(_ONLY)), help="Print only answers that are found, open, or invalid.")
@click.option("--columns", metavar="A,B", help=f"Columns of the table: {', '.join(COLUMNS)}.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write .csv or .jsonl to this file.")
@click.option("--resume", is_flag=True, help="Go on with an --output of JSON Lines: ask what is not complete in it.")
@click.option(
    "--sign-key", type=click.Path(dir_okay=False, path_type=Path), envvar="BROKER_SIGN_KEY", help="Sign with this key."
)
@click.option(
    "--receipts",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the broker's receipts in this folder; broker audit prove --check checks them.",
)
@connection_options
def investigate(file: Path | None, connection: Connection, **given: Any) -> None:
    """Ask what debtors own, or who holds a property.

    FILE contains the lookups as CSV, JSON Lines or a JSON array, or in the visible sheet of an .xlsx, .xls or .ods
    file, with the columns ref, type, number and name under their English or Chinese names (序号, 证件类型, 证件号码,
    姓名, ...); - is standard input. Other columns are passed through to CSV and JSON. The default ref is line-3 on the
    third line. All lines are checked first. A spreadsheet that opens the CSV output rounds long numbers: import it
    instead, with the column number as text.

    Without FILE, the options --type, --number and --name specify a single lookup. Other users of this machine can see
    the arguments of a running command, so use a file where that matters.

    \b
    A batch:
      broker investigate --court 京0101 --officer 王法官 --case （2026）京0101执1号 \\
          --document 协助查询通知书1号 debtors.csv
    A long batch, and the same again after an interruption:
      broker investigate ... --bulk --timeout 0 --output reports.jsonl debtors.csv
      broker investigate ... --bulk --timeout 0 --output reports.jsonl --resume debtors.csv
    One debtor, with JSON output:
      broker investigate --court 京0101 --officer 王法官 --case （2026）京0101执1号 \\
          --document 协助查询通知书1号 --type RESIDENT_ID --number 14141319510112380X --name 方勇浩 --json
    The holder of a vehicle:
      broker investigate ... --type VEHICLE_PLATE --number 晋BA1211A

    \b
    debtors.csv:
      ref,type,number,name
      1,RESIDENT_ID,14141319510112380X,方勇浩
      2,ORGANIZATION_CODE,91110712MA3830049G,南京远博贸易有限公司
    """  # noqa: D301 - click reads the backspaces
    _check(file, given)
    run = _prepare(file, given)
    mandate = Mandate(
        court_code=given["court"],
        officer=given["officer"],
        case_number=given["case"],
        legal_document=given["document"],
    )
    terms = Terms(
        institutions=given["institutions"],
        kinds=tuple(_KINDS[kind] for kind in given["kinds"]),
        max_age=given["max_age"],
        timeout=given["timeout"] or None,
        bulk=given["bulk"],
        incremental=given["incremental"],
    )
    sys.exit(run_to_exit(run, lambda: asyncio.run(run.investigate(connection, mandate, terms))))


def _check(file: Path | None, given: dict[str, Any]) -> None:
    """Refuses options that contradict each other, and completes `form`."""
    if bool(file) == bool(given["number"]):
        raise click.UsageError("give either a FILE, or --type and --number of a single lookup")
    if given["number"] and not given["subject_type"]:
        raise click.UsageError("a single lookup needs both --type and --number")
    suffix = given["output"].suffix.lower() if given["output"] else ""
    by_suffix = {".csv": "csv", ".jsonl": "json", ".json": "json", ".ndjson": "json"}
    if suffix and suffix not in by_suffix:
        raise click.BadParameter("must end in .csv or .jsonl", param_hint="--output")
    given["form"] = "json" if given["as_json"] else given["form"] or by_suffix.get(suffix, "table")
    if suffix and given["form"] != by_suffix[suffix]:
        raise click.UsageError(f"--format {given['form']} does not go into a file that ends in {suffix}")
    if given["incremental"] and given["form"] != "json":
        raise click.UsageError("--incremental requires --json: the other formats have complete reports only")
    if given["resume"] and (given["form"] != "json" or not suffix or given["incremental"] or given["only"]):
        raise click.UsageError("--resume needs an --output that ends in .jsonl, without --incremental and --only")
    unknown = set(_columns(given)).difference(COLUMNS)
    if unknown:
        raise click.BadParameter(f"must be among {', '.join(COLUMNS)}", param_hint="--columns")


def _columns(given: dict[str, Any]) -> tuple[str, ...]:
    return tuple(one.strip() for one in (given["columns"] or "").split(",") if one.strip())


def _prepare(file: Path | None, given: dict[str, Any]) -> Run:
    """Checks the lookups, and opens the output. Ends the program if it cannot."""
    source: LookupSource
    subject_type = _type(given["subject_type"])
    if file is None:
        source = Single(subject_type, given["number"], given["name"] or "")
    else:
        opened = sys.stdin.buffer if str(file) == "-" else file
        source = LookupFile(opened, default_type=subject_type)
    try:
        count = source.check()
    except LookupFileError as error:
        fail(f"{'standard input' if str(file) == '-' else file}: {error}", Exit.USAGE)
    if file and given["output"] and given["output"].exists() and file.exists() and file.samefile(given["output"]):
        raise click.UsageError("--output is the FILE of lookups: choose another name")
    try:
        done = take_up(given["output"], count) if given["resume"] else Done(bytearray(), {})
        return Run(
            count,
            source,
            done,
            _open_output(given, count, source),
            signer=_signer(given["sign_key"]),
            receipts=_receipt_folder(given["receipts"]),
        )
    except (OSError, ResumeError) as error:
        fail(f"--output: {error}", Exit.USAGE)


def _signer(path: Path | None) -> RequestSigner | None:
    if path is None:
        return None
    from broker.client.signing import Signer  # noqa: PLC0415 - it needs cryptography, which takes time to import

    try:
        return Signer.read(path)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--sign-key") from None


def _receipt_folder(path: Path | None) -> Path | None:
    """The folder, which is made if it is missing: before anything is asked, since receipts come at the end."""
    try:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.BadParameter(f"cannot be made: {error.strerror}", param_hint="--receipts") from None
    return path


def _open_output(given: dict[str, Any], count: int, source: LookupSource) -> Output:
    extra = tuple(next(source.read()).extra)
    path: Path | None = given["output"]
    output: Output
    if path is None:
        match given["form"]:
            case "json":
                output = JsonLines(sys.stdout.buffer)
            case "csv":
                output = CsvTable(sys.stdout, extra)
            case _:
                output = ReportTable(count, _columns(given))
    else:
        descriptor = open_private(path, os.O_APPEND if given["resume"] else os.O_TRUNC)
        if given["form"] == "csv":
            text = os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="")  # spreadsheets read the mark
            output = TotalsLine(CsvTable(text, extra), text.close)
        else:
            binary = os.fdopen(descriptor, "wb")
            output = TotalsLine(JsonLines(binary), binary.close)
    return Only(output, _ONLY[given["only"]]) if given["only"] else output


def _type(text: str | None) -> Any:
    if not text:
        return None
    try:
        return parse_type(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--type") from None
