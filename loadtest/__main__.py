"""Runs the load test headless, against mocks and a broker that it starts.

    python -m loadtest [--users 20] [--seconds 60] [--html report.html]

Ends with exit code 1 if any request failed or any answer was wrong, and with one line of JSON.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.testbed import FOUR, open_testbed

_REGIONAL = "mock-bank-jing"


@click.command(help=__doc__)
@click.option("--users", default=20, show_default=True, help="Concurrent courts.")
@click.option("--seconds", default=60, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--html", type=click.Path(path_type=Path), help="Also write Locust's report, with plots, to this file.")
def main(*, users: int, seconds: int, seed: int, html: Path | None) -> None:
    """Run the load test."""
    with open_testbed(seed=seed, institutions=(*FOUR, _REGIONAL)) as testbed:
        statistics = testbed.folder / "locust"
        command = [
            *(sys.executable, "-m", "locust", "--locustfile", str(Path(__file__).with_name("locustfile.py"))),
            *(
                "--host",
                testbed.address,
                "--headless",
                "--only-summary",
                "--stop-timeout",
                "10",
                "--loglevel",
                "WARNING",
            ),
            *("--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s"),
            *("--csv", str(statistics)),
            *(("--html", str(html.resolve())) if html else ()),
        ]
        root = str(Path(__file__).parents[1])
        ended = subprocess.run(command, env=os.environ | {"BROKER_SEED": str(seed), "PYTHONPATH": root}, check=False)
        with Path(f"{statistics}_stats.csv").open(encoding="utf-8") as file:
            rows = {row["Name"]: row for row in csv.DictReader(file)}
    result = {name: _figures(row) for name, row in rows.items() if name != "Aggregated"}
    failures = int(rows["Aggregated"]["Failure Count"])
    click.echo(json.dumps({"loadtest": result, "failures": failures, "users": users, "seconds": seconds}))
    sys.exit(1 if failures or ended.returncode else 0)


def _figures(row: dict[str, str]) -> dict[str, float]:
    return {"requests": int(row["Request Count"]), "p50_ms": float(row["50%"]), "p99_ms": float(row["99%"])}


if __name__ == "__main__":
    main()
