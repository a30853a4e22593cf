"""`broker audit`: what an inspector does with the record of what was asked. It works offline, and only reads."""

import sys
import time
from pathlib import Path

import click
import msgspec

from broker.audit.keys import AuditKeys, load_keys
from broker.audit.proving import check_receipt, prove
from broker.audit.reading import origin_of, read_entries
from broker.audit.tlog.note import VerifierKey
from broker.audit.verification.expectations import LogKeys, read_expectations
from broker.audit.verification.faults import AuditFault
from broker.audit.verification.folder import LogFolder
from broker.audit.verification.verify import (
    VerificationReport,
    journal_bytes,
    keys_beside,
    logs_in,
    read_verifier_keys,
    verify,
)
from broker.audit.who_asked import Asking, who_asked
from broker.audit.witness import cosigned
from broker.cli.audit_output import asking_table, exported
from broker.cli.audit_subject import read_commitments
from broker.cli.audit_witness import poster
from broker.cli.exits import Exit, fail
from broker.cli.progress import progress
from broker.errors import AuditError
from broker.formats.tables import console
from broker.model import SubjectType

_paths = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
_file = click.Path(path_type=Path, dir_okay=False)
_key = click.option(
    "--key",
    "key_path",
    type=_file,
    help="File with the public key of the log (verifier-key), as its owner has made it known. All logs of a broker are"
    " signed with the same one.",
)
_MEBIBYTE = 1 << 20


@click.group()
def audit() -> None:
    """Verify what was asked, find out who asked about whom, and prove it.

    PATH is the folder of audit.path, or that of a single log (worker-0), or a copy of either.
    """


@audit.command("verify")
@_paths
@_key
@click.option(
    "--against",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="A checkpoint or receipt that was kept, a folder of receipts (.tlog-proof), or a copy of the logs from"
    " another time or place; can be repeated. Only these can show that a whole log was exchanged for another one.",
)
@click.option("--key-file", type=_file, help="The broker's audit.key_file: looks also into what is sealed.")
@click.option(
    "--thorough",
    is_flag=True,
    help="Verify the signature of every commit, which takes 0.1 ms each; the last one covers all entries.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines: faults, and a summary in the last line.")
def verify_command(
    *,
    paths: tuple[Path, ...],
    key_path: Path | None,
    against: tuple[Path, ...],
    key_file: Path | None,
    thorough: bool,
    as_json: bool,
) -> None:
    """Recompute every hash from the entries to the signed checkpoint, and say what is not as it was.

    Every entry, the material sealed beside it, every tile and checkpoint is read. Logs may be verified while they are
    written.

    \b
    broker audit verify var/audit
    broker audit verify var/audit --key verifier-key --against checkpoint-of-june --against receipt.tlog-proof

    \b
    Exit codes:
        0  nothing is wrong
        2  the command line is invalid, or something cannot be read
       20  changed      21  removed     22  added    23  reordered  24  truncated
       25  forked       26  unsigned    27  material 28  sequence
       (that of the first fault)
    """  # noqa: D301 - click reads the backspaces
    began = time.perf_counter()
    try:
        logs = logs_in(paths)
        keys = read_verifier_keys(key_path) if key_path else keys_beside(logs)
        expected = read_expectations(list(against), LogKeys(keys))
        secrets = load_keys(key_file) if key_file else None
        with progress(journal_bytes(logs) // _MEBIBYTE, "verifying") as advance:
            report = verify(
                logs,
                keys,
                expected,
                secrets,
                advance=lambda count: advance(count // _MEBIBYTE),
                is_thorough=thorough,
            )
    except AuditError as error:
        fail(str(error), Exit.USAGE)
    _print_report(report, time.perf_counter() - began, as_json=as_json)
    if not key_path:
        click.echo(
            "note: verified with the keys that lie beside the logs; whoever exchanged the logs can have exchanged them"
            " too. Give the broker's public key with --key",
            err=True,
        )
    if report.faults:
        sys.exit(Exit[f"AUDIT_{report.faults[0].kind.name}"])


def _print_report(report: VerificationReport, seconds: float, *, as_json: bool) -> None:
    if as_json:
        for fault in report.faults:
            click.echo(msgspec.json.encode(_fault_json(fault)))
        click.echo(msgspec.json.encode(_summary_json(report, seconds)))
        return
    for fault in report.faults:
        click.echo(f"fault: {fault}")
    for log in report.logs:
        counts = log.counts
        click.echo(
            f"{log.log}: {counts.entries:,} entries, {counts.admitted:,} requests admitted, {counts.refused:,} refused,"
            f" {counts.inquiries:,} inquiries; {counts.unended:,} without an end; {len(log.faults)} faults"
        )
        if log.unfinished:
            click.echo(f"{log.log}: {log.unfinished:,} bytes at the end are being written, or were left by a crash")
    click.echo(
        f"{report.inquiries:,} inquiries verified in {seconds:.2f} s, {report.inquiries / seconds:,.0f} per second;"
        f" {len(report.faults)} faults"
    )


def _fault_json(fault: AuditFault) -> dict[str, object]:
    return {"fault": fault.kind, "log": fault.log, "index": fault.index, "detail": fault.detail}


def _summary_json(report: VerificationReport, seconds: float) -> dict[str, object]:
    return {
        "logs": [
            {
                "log": log.log,
                "entries": log.counts.entries,
                "admitted": log.counts.admitted,
                "refused": log.counts.refused,
                "inquiries": log.counts.inquiries,
                "unended": log.counts.unended,
                "unfinished_bytes": log.unfinished,
                "faults": len(log.faults),
            }
            for log in report.logs
        ],
        "entries": report.entries,
        "inquiries": report.inquiries,
        "seconds": round(seconds, 3),
        "entries_per_second": round(report.entries / seconds),
        "inquiries_per_second": round(report.inquiries / seconds),
        "first_fault": _fault_json(report.faults[0]) if report.faults else None,
        "faults": len(report.faults),
    }


@audit.command("who-asked")
@_paths
@click.option("--type", "type_name", required=True, type=click.Choice([each.name for each in SubjectType]))
@click.option(
    "--subject-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File with the number in its first line, and a spelling of the name in each further line; -: standard input."
    " Without it you are asked. Arguments could be seen by others.",
)
@click.option(
    "--key-file", type=_file, required=True, help="The broker's audit.key_file, or a copy of its line sealing."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines, one for each request.")
def who_asked_command(
    *, paths: tuple[Path, ...], type_name: str, subject_file: Path | None, key_file: Path, as_json: bool
) -> None:
    """Print every request about a subject: court, officer, case, document, time and what the answers were.

    A name counts as it was sent. Give every spelling that courts may have sent; the standard spelling of each is tried
    as well.

    \b
    broker audit who-asked var/audit --type RESIDENT_ID --key-file var/audit.key
    broker audit who-asked var/audit --type RESIDENT_ID --key-file var/audit.key --subject-file - < subject.txt
    """  # noqa: D301 - click reads the backspaces
    try:
        keys = load_keys(key_file)
        commitments = read_commitments(keys.keyer(), SubjectType[type_name], subject_file)
        askings = [
            asking for log in logs_in(paths) for asking in who_asked(read_entries(log), keys.sealer(), commitments)
        ]
    except AuditError as error:
        fail(str(error), Exit.USAGE)
    askings.sort(key=lambda asking: asking.time)
    _print_askings(askings, as_json=as_json)


def _print_askings(askings: list[Asking], *, as_json: bool) -> None:
    if as_json:
        for asking in askings:
            click.echo(msgspec.json.encode(asking))
        return
    if askings:
        console().print(asking_table(askings))
    click.echo(f"{len(askings):,} requests were about this subject")


@audit.command("prove")
@click.argument("path", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--log", "origin", help="Origin of the log, if PATH has several.")
@click.option("--index", type=click.IntRange(min=0), help="Index of the entry.")
@click.option("--output", type=_file, help="Where to write the proof (.tlog-proof); by default, standard output.")
@click.option("--check", "receipt", type=click.Path(path_type=Path, exists=True), help="Check this receipt instead.")
@click.option("--entry", "entry_path", type=_file, help="With --check: the entry, if the receipt does not have it.")
@_key
def prove_command(  # noqa: PLR0913 - one for each option
    *,
    path: Path | None,
    origin: str | None,
    index: int | None,
    output: Path | None,
    receipt: Path | None,
    entry_path: Path | None,
    key_path: Path | None,
) -> None:
    """Prove that an entry is in a log, or check such a proof with nothing but the public key.

    A receipt is a C2SP tlog-proof, with the entry as its extra data, or the receipt of a summary in JSON.

    \b
    broker audit prove var/audit --log broker.court.example/audit/worker-0 --index 17 --output 17.tlog-proof
    broker audit prove --check 17.tlog-proof --key verifier-key

    Exit code 29: the receipt proves nothing, or the entry cannot be proven.
    """  # noqa: D301 - click reads the backspaces
    if receipt is not None:
        if key_path is None:
            raise click.UsageError("--check needs --key")
        _check_receipt(receipt, key_path, entry_path)
        return
    if path is None or index is None:
        raise click.UsageError("name PATH and --index, or --check RECEIPT")
    try:
        text = prove(_one_log(path, origin), index)
    except AuditError as error:
        fail(str(error), Exit.AUDIT_UNPROVEN)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _one_log(path: Path, origin: str | None) -> LogFolder:
    logs = logs_in([path])
    chosen = [log for log in logs if origin is None or origin_of(log) == origin]
    if len(chosen) != 1:
        origins = ", ".join(map(origin_of, logs))
        raise click.UsageError(f"name one of these with --log: {origins}")
    return chosen[0]


def _check_receipt(receipt: Path, key_path: Path, entry_path: Path | None) -> None:
    try:
        keys: list[VerifierKey] = read_verifier_keys(key_path)
        entry = entry_path.read_bytes().removesuffix(b"\n") if entry_path else None
        proven = check_receipt(receipt.read_text(encoding="utf-8"), keys, entry)
    except (OSError, UnicodeDecodeError):
        fail(f"{receipt}: cannot be read", Exit.USAGE)
    except AuditError as error:
        fail(str(error), Exit.AUDIT_UNPROVEN)
    click.echo(f"proven: entry {proven.entry_index} of {proven.log}, when it had {proven.size:,} entries", err=True)
    click.echo(proven.entry)


@audit.command("witness")
@_paths
@click.option("--url", required=True, help="Submission prefix of the witness (C2SP tlog-witness), https:// or http://.")
@click.option("--witness-key", "witness_path", type=_file, required=True, help="File with the witness's public key.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for the cosigned checkpoints, one file for each log. They can be given to verify --against.",
)
def witness_command(*, paths: tuple[Path, ...], url: str, witness_path: Path, output: Path) -> None:
    """Ask a witness to confirm that the logs have only grown since it saw them last.

    To be run now and then, by a timer, wherever the published files can be read: the broker does not wait for it.

    \b
    broker audit witness var/audit --url https://witness.example --witness-key witness-key --output cosigned

    Exit code 30: the witness cannot be reached, or does not cosign one of the logs. The others are cosigned.
    """  # noqa: D301 - click reads the backspaces
    try:
        (key,) = read_verifier_keys(witness_path)
        post = poster(url)
        logs = logs_in(paths)
        output.mkdir(parents=True, exist_ok=True)
    except (AuditError, ValueError) as error:
        fail(str(error), Exit.USAGE)
    failed = False
    for log in logs:
        try:
            text = cosigned(log, key, post)
        except AuditError as error:
            click.echo(f"error: {error}", err=True)
            failed = True
            continue
        name = origin_of(log).replace("/", "_")
        (output / f"{name}.checkpoint").write_text(text, encoding="utf-8")
    if failed:
        sys.exit(Exit.AUDIT_UNWITNESSED)


@audit.command("export")
@_paths
@click.option("--key-file", type=_file, help="The broker's audit.key_file: adds what is sealed.")
def export_command(*, paths: tuple[Path, ...], key_file: Path | None) -> None:
    """Print all entries as JSON Lines, log by log: {"log": ..., "index": ..., "entry": {...}}.

    With --key-file, each line also has what is sealed beside the entry: withheld texts, institutions, the commitment of
    each lookup's subject, and answers as [lookup, institution, outcome, observed_at, source].
    """
    try:
        keys: AuditKeys | None = load_keys(key_file) if key_file else None
        sealer = keys.sealer() if keys else None
        for log in logs_in(paths):
            for read in read_entries(log):
                click.echo(exported(read, sealer))
    except AuditError as error:
        fail(str(error), Exit.USAGE)
