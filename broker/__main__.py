"""The program `broker`, also as `python -m broker`."""

import sys


def main() -> None:
    """Runs the command line; says what to install if only the client is."""
    try:
        from broker.cli import main as command_line  # noqa: PLC0415 - its packages may be missing

        command_line()  # imports the command
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"broker", "mock_institutions"}:
            raise
        sys.exit(
            f"{error.name} is not installed; the command line needs: pip install property-investigation-broker[server]"
        )


if __name__ == "__main__":
    main()
