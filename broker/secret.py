"""Values that no log, message or file may show: credentials for institutions and proxies.

The configuration names where such a value is, so that it does not have to contain it: `env:NAME` or `file:PATH`.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is shown nowhere, unless somebody reveals it."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The value, for whoever has to send it."""
        return self._value


def read_secret(text: str) -> Secret:
    """The value that `env:NAME` or `file:PATH` refers to; any other text is the value itself.

    A line break at the end of a file does not belong to the value. Raises `ValueError`, which says why there is none
    and does not contain it.
    """
    source, _, name = text.partition(":")
    match source:
        case "env":
            return Secret(_from_environment(name))
        case "file":
            return Secret(_from_file(Path(name)))
    return Secret(text)


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        msg = f"the environment variable {name} is not set: set it for the broker"
        raise ValueError(msg)
    return value


def _from_file(path: Path) -> str:
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        msg = f"the file {path} cannot be read ({error.strerror})"
        raise ValueError(msg) from None
    except UnicodeDecodeError:
        msg = f"the file {path} is not text in UTF-8"
        raise ValueError(msg) from None
    if not value:
        msg = f"the file {path} is empty"
        raise ValueError(msg)
    return value
