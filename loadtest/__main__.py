"""Runs the load test headless, and says whether it passed.

    python -m loadtest                                     # against mocks and a broker that it starts
    python -m loadtest --host broker.court.example:50051 --truth none --users 50 --seconds 300 --p99 2000

A request fails if an answer is missing, wrong, or neither FOUND nor NOT_FOUND. Prints the failures by reason, a table,
and one line of JSON. docs/loadtest.md explains how to run it against institutions of your own.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from loadtest.options import read_people
from loadtest.outcome import FACTS, OUTCOMES
from loadtest.truth import Baseline, BaselineError

_ROOT = Path(__file__).parents[1]
_MORE_SECONDS = 60  # for starting, for the last requests, and for the report


_FILE = click.Path(exists=True, dir_okay=False)


class Exit(IntEnum):
    """Exit codes."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    NOT_RUN = 3


@click.command(
    help=(__doc__ or "").replace("\n\n    python", "\n\n\b\n    python"),  # keeps the lines of the examples
    epilog="Exit codes: 0 passed; 1 a threshold was exceeded; 2 usage; 3 the test did not run.",
)
@click.option("--host", metavar="HOST:PORT", help="Test this broker. Default: mocks and a broker of its own.")
@click.option("--ca", type=_FILE, envvar="BROKER_CA", show_envvar=True, help="With --host: the broker's authority.")
@click.option("--certificate", type=_FILE, envvar="BROKER_CERTIFICATE", show_envvar=True, help="What courts show.")
@click.option("--key", type=_FILE, envvar="BROKER_KEY", show_envvar=True, help="Its private key.")
@click.option("--users", type=click.IntRange(min=1), default=20, show_default=True, help="Concurrent courts.")
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Requests per second, of all courts together."
)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that send.")
@click.option("--max-failure-ratio", type=click.FloatRange(0, 1), default=0.0, show_default=True, metavar="R")
@click.option(
    "--p99", type=click.FloatRange(min=0, min_open=True), metavar="MS", help="To the last report, of each kind."
)
@click.option("--truth", default="mocks", show_default=True, metavar="mocks|none|FILE", help="Which answers are right.")
@click.option("--record", type=click.Path(dir_okay=False), help="Record the answers as a baseline for --truth.")
@click.option("--people", type=click.Path(exists=True, dir_okay=False), help="CSV file: type,number,name.")
@click.option("--people-seed", type=int, help="Ask about the same people in each run. Default: new ones.")
@click.option(
    "--allow", multiple=True, type=click.Choice([one for one in OUTCOMES if one not in FACTS]), help="Is no failure."
)
@click.option("--seed", default=1, show_default=True, help="Seed of the mock institutions.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write Locust's report, with plots.")
def main(*, host: str | None, users: int, seconds: int, processes: int, **given: Any) -> None:
    """Run the load test."""
    if given["record"] and processes > 1:
        raise click.UsageError("--record needs --processes 1")
    for option in ("record", "people", "html", "ca", "certificate", "key"):  # Locust runs elsewhere
        given[option] = given[option] and Path(given[option]).absolute()
    given["truth"] = _checked_truth(given["truth"])
    if given["people"]:
        _check(lambda: read_people(given["people"]))
    if host is None:  # its own broker serves plain text
        given |= dict.fromkeys(("ca", "certificate", "key"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="broker-loadtest-")))
        address = host or stack.enter_context(_own_broker(given["seed"]))
        command = _command(address, users, seconds, folder / "result.json", given)
        code = _run(command, processes, folder, seconds)
        try:
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            click.echo(
                f"the load test did not run: Locust ended with exit code {code}; see its messages above", err=True
            )
            sys.exit(Exit.NOT_RUN)
    _print(result)
    click.echo(json.dumps({"loadtest": result, "users": users, "seconds": seconds}, ensure_ascii=False))
    sys.exit(Exit.PASSED if result["passed"] else Exit.FAILED)


def _checked_truth(truth: str) -> str:
    """The truth, as an absolute path if it is a file, which has been read once."""
    if truth in {"mocks", "none"}:
        return truth
    _check(lambda: Baseline.read(Path(truth)))
    return str(Path(truth).absolute())


def _check(read: Callable[[], object]) -> None:
    try:
        read()
    except (OSError, ValueError, BaselineError) as error:
        raise click.UsageError(str(error)) from None


@contextmanager
def _own_broker(seed: int) -> Iterator[str]:
    """Mocks and a broker, all on free ports. Yields the broker's address."""
    from benchmarks.testbed import FOUR, open_testbed  # noqa: PLC0415 - of a checkout; not needed with --host

    with open_testbed(seed=seed, institutions=(*FOUR, "mock-bank-jing")) as testbed:
        yield testbed.address


def _command(address: str, users: int, seconds: int, result: Path, given: dict[str, Any]) -> list[str]:
    rate = given["rate"]
    options = {
        "--locustfile": Path(__file__).with_name("locustfile.py"),
        "--host": address,
        "--users": users,
        "--spawn-rate": users,
        "--run-time": f"{seconds}s",
        "--stop-timeout": 30,
        "--loglevel": "WARNING",
        "--ca": given["ca"],
        "--certificate": given["certificate"],
        "--key": given["key"],
        "--truth": given["truth"],
        "--mock-seed": given["seed"],
        "--people-seed": given["people_seed"],
        "--people": given["people"],
        "--record": given["record"],
        "--user-rate": rate / users if rate else None,
        "--max-failure-ratio": given["max_failure_ratio"],
        "--p99": given["p99"],
        "--result": result,
        "--html": given["html"],
    }
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary"]
    for option, value in options.items():
        command += [option, str(value)] if value is not None else []
    for outcome in given["allow"]:
        command += ["--allow", outcome]
    return command


def _run(command: Sequence[str], processes: int, folder: Path, seconds: int) -> int:
    """Runs Locust in one process, or in a master and workers. Returns its exit code."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))}
    for name in ("BROKER_CA", "BROKER_CERTIFICATE", "BROKER_KEY"):  # the options say what is meant
        environment.pop(name, None)
    workers: list[subprocess.Popen[bytes]] = []
    timeout = seconds + _MORE_SECONDS
    try:
        if processes == 1:
            return subprocess.run(command, env=environment, timeout=timeout, check=False).returncode
        port = str(_free_port())
        for _ in range(processes):
            worker = [*command[:3], "--locustfile", str(Path(__file__).with_name("locustfile.py")), "--worker"]
            worker += ["--master-port", port, "--loglevel", "WARNING"]
            workers.append(subprocess.Popen(worker, env=environment, cwd=folder))
        master = [*command, "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port]
        master += ["--expect-workers", str(processes)]
        return subprocess.run(master, env=environment, timeout=timeout, check=False).returncode
    except subprocess.TimeoutExpired:
        return -1
    finally:
        for one in workers:
            one.terminate()
        for one in workers:
            one.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _print(result: dict[str, Any]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(title="Answers", title_justify="left", box=None, header_style="bold cyan", pad_edge=False)
    outcomes = [*OUTCOMES, "MISSING", "WRONG"]
    seen = [one for one in outcomes if any(one in counts for counts in result["answers"].values())]
    for column in ("institution", *seen):
        table.add_column(column, justify="left" if column == "institution" else "right")
    for institution, counts in result["answers"].items():
        table.add_row(institution or "(the broker)", *(f"{counts[one]:,}" if one in counts else "" for one in seen))
    console.print(table)
    console.print(f"{result['answers_checked']:,} answers were compared with the truth.")
    for sentence in result["exceeded"]:
        console.print(f"FAILED: {sentence}", style="bold red")
    if result["passed"]:
        console.print("PASSED", style="bold green")


if __name__ == "__main__":
    main()
