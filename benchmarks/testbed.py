"""The testbed of a benchmark: mock institutions and a broker as processes, with real gRPC, HTTP and LMDB.

Everything listens on free ports of loopback, lives in a temporary folder, and is stopped at the end.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from benchmarks.server_process import ServerProcess
from broker.demo.testbed import BLOCK, configuration, institution_blocks

FOUR = ("mock-bank", "mock-vehicle", "mock-securities", "mock-real-estate")
"""The four national institutions of the default configurations."""

_DEFAULT = (*FOUR, "mock-bank-jing")


@dataclass(frozen=True, slots=True)
class Testbed:
    """A running broker, and the mocks it asks."""

    folder: Path
    mocks: ServerProcess
    broker: ServerProcess

    @property
    def address(self) -> str:
        """The broker's gRPC address."""
        return str(self.broker.announced["grpc"])

    @property
    def urls(self) -> dict[str, str]:
        """The mocks' base URLs, by institution."""
        return dict(self.mocks.announced["institutions"])

    def stats(self) -> dict[str, dict[str, int]]:
        """Each mock's own counters, by institution."""
        return {name: _get(f"{url}/stats") for name, url in self.urls.items()}


@contextmanager
def open_testbed(  # noqa: PLR0913 - benchmarks differ in that much
    *,
    seed: int,
    institutions: Sequence[str] = FOUR,
    dialect: str = "json",
    national: int | None = None,
    program: Sequence[str] = ("broker", "serve"),
    extra_blocks: str = "",
    configure: Callable[[str, Path], str] = lambda text, _: text,
) -> Iterator[Testbed]:
    """Runs mocks and a broker for as long as the context lasts.

    The broker knows those of the default institutions that are named, or `national` national ones instead. All speak
    one dialect. `extra_blocks`: configuration of others, which run already. `configure` changes
    the configuration, and may write files to the testbed's folder.
    """
    with tempfile.TemporaryDirectory(prefix="broker-benchmark-") as name:
        folder = Path(name)
        more = () if national is None else ("--national", str(national))
        arguments = ("--seed", str(seed), "--port-base", "0", *more)
        mocks = ServerProcess("mock_institutions", "serve", *arguments, log=folder / "mocks.log")
        try:
            urls = mocks.announced["institutions"]
            text = _configuration(folder, urls, dialect, institutions if national is None else ())
            (folder / "broker.toml").write_text(configure(text + extra_blocks, folder), encoding="utf-8")
            broker = ServerProcess(*program, "--config", "broker.toml", log=folder / "broker.log")
            try:
                yield Testbed(folder, mocks, broker)
            finally:
                broker.stop()
        finally:
            mocks.stop()


def with_audit_log(text: str, folder: Path) -> str:
    """A testbed's configuration with the audit log, which is off otherwise."""
    return text.replace('\npath = ""', f'\npath = "{folder.as_posix()}/audit"', 1)  # the only path that is empty


_NO_LIMIT = 10**9  # inquiries: whatever is measured, it is not how often requests are refused


def _configuration(folder: Path, urls: dict[str, str], dialect: str, institutions: Sequence[str]) -> str:
    """The demo's configuration with the institutions named, all in one dialect.

    If none is named: all that have a URL, each configured like the default one whose name its own begins with.
    """
    head, *blocks = institution_blocks(configuration(folder, urls if institutions else dict.fromkeys(_DEFAULT, "")))
    by_name = {name: block for block in blocks for name in _DEFAULT if f'id = "{name}"\n' in block}
    if institutions:
        chosen = [by_name[name] for name in institutions]
    else:
        chosen = [_renamed(by_name[name.rpartition("-")[0]], name, url) for name, url in urls.items()]
    head = re.sub(r"^max_inquiries_in_flight = .*", f"max_inquiries_in_flight = {_NO_LIMIT}", head, flags=re.MULTILINE)
    head = re.sub(r'^path = ".*/audit"', 'path = ""', head, flags=re.MULTILINE)  # benchmarks.trust measures that
    return BLOCK.join([head, *(re.sub(r'dialect = ".*"', f'dialect = "{dialect}"', one) for one in chosen)])


def _renamed(block: str, name: str, url: str) -> str:
    block = re.sub(r'^id = ".*"', f'id = "{name}"', block, flags=re.MULTILINE)
    return re.sub(r'^url = ".*"', f'url = "{url}/v1/inquiries"', block, flags=re.MULTILINE)


def _get(url: str) -> dict[str, int]:
    with urlopen(url, timeout=10) as response:  # noqa: S310 - a mock's own address
        stats: dict[str, int] = json.load(response)
        return stats
