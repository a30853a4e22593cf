"""Fuzzes with atheris: `python -m tests.fuzzing [--seconds 30] [TARGET ...]`, each target in a process of its own.

Input that a target fails on is written to corpus/TARGET, where `make test` replays it: commit it with what mends it.
What merely reaches new code is kept in var/fuzzing/TARGET, from where the next run goes on.
"""

import subprocess
import sys
from pathlib import Path

import click

CORPUS = Path(__file__).with_name("corpus")
_LONGEST = 1 << 16  # bytes of input
_SLOWEST = 10  # s for one input; one that takes longer is a failure
_MEMORY = 2048  # MiB


def targets() -> list[str]:
    """The names of all targets, read without what they import: that is instrumented later."""
    return sorted(path.name for path in CORPUS.iterdir())


@click.command()
@click.option("--seconds", default=30, show_default=True, help="For each target.")
@click.option("--one", hidden=True)
@click.argument("names", nargs=-1)
def main(seconds: int, one: str | None, names: tuple[str, ...]) -> None:
    """Fuzz all targets, or those named."""
    if one is not None:
        _fuzz(one, seconds)
        return
    unknown = set(names) - set(targets())
    if unknown:
        raise click.UsageError(f"no such target: {', '.join(unknown)}; there are {', '.join(targets())}")
    failed = [name for name in names or targets() if not _succeeds(name, seconds)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; the input is in {CORPUS}")


def _succeeds(name: str, seconds: int) -> bool:
    command = [sys.executable, "-m", "tests.fuzzing", "--one", name, "--seconds", str(seconds)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")  # noqa: S603
    last = [line for line in ended.stderr.splitlines() if line.startswith(("#", "Done", "stat::"))][-1:]
    click.echo(f"{name:18} {'ok    ' if not ended.returncode else 'FAILED'} {last[0] if last else ''}")
    if ended.returncode:
        for path in (CORPUS / name).iterdir():
            path.rename(path.with_suffix(".bin"))
        click.echo("\n".join(ended.stderr.splitlines()[-40:]))
    return not ended.returncode


def _fuzz(name: str, seconds: int) -> None:
    import atheris  # noqa: PLC0415 - only here: `make test` does without

    with atheris.instrument_imports(include=["broker"]):
        from tests.fuzzing.targets import TARGETS  # noqa: PLC0415

    found = Path("var/fuzzing", name)
    found.mkdir(parents=True, exist_ok=True)
    arguments = [
        f"-max_total_time={seconds}",
        f"-max_len={_LONGEST}",
        f"-timeout={_SLOWEST}",
        f"-rss_limit_mb={_MEMORY}",
        f"-artifact_prefix={CORPUS / name}/",
        "-print_final_stats=1",
        str(found),
        str(CORPUS / name),
    ]
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
