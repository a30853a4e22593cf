"""A testbed whose store, key and configuration stay in a folder, for the next session of a long run."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from urllib.request import urlopen

from benchmarks.server_process import ServerProcess
from benchmarks.testbed import FOUR, Testbed
from broker.demo.testbed import BLOCK, configuration, institution_blocks

_MAP_SIZE = 1 << 36  # 64 GiB; takes no space on disk before it is filled
# Answers are dated in whole seconds, and may expire by so much sooner for the broker than for the mock that gave them.
_ROUNDING = 2.0
_RECORDS = "broker_store_records "


@contextmanager
def persistent_testbed(folder: Path, *, seed: int, dialect: str, ttl: float, workers: int | None) -> Iterator[Testbed]:
    """Runs four mocks, and a broker that may serve their answers again for `ttl` seconds.

    `dialect`: json, protobuf, or "mixed" as in the default configuration. `workers`: default: as the broker's
    configuration says.
    """
    folder = folder.resolve()
    (folder / "mocks.toml").write_text(mocks_text(ttl), encoding="utf-8")
    arguments = ("--config", "mocks.toml", "--seed", str(seed), "--port-base", "0")
    mocks = ServerProcess("mock_institutions", "serve", *arguments, log=folder / "mocks.log")
    try:
        text = broker_text(configuration(folder, mocks.announced["institutions"]), dialect, ttl)
        (folder / "broker.toml").write_text(text, encoding="utf-8")
        options = () if workers is None else ("--workers", str(workers))
        broker = ServerProcess("broker", "serve", "--config", "broker.toml", *options, log=folder / "broker.log")
        try:
            yield Testbed(folder, mocks, broker)
        finally:
            broker.stop()
    finally:
        mocks.stop()


def mocks_text(ttl: float) -> str:
    """The mocks' configuration: they count an inquiry that comes again within `ttl` seconds as a duplicate."""
    text = (files("mock_institutions") / "default.toml").read_text(encoding="utf-8")
    text = re.sub(r"^lifetime = .*\n", "", text, flags=re.MULTILINE)
    return text.replace("[[institutions]]\n", f"[[institutions]]\nlifetime = {max(1.0, ttl - _ROUNDING)}\n")


def broker_text(text: str, dialect: str, ttl: float) -> str:
    """A broker's configuration with only the four institutions, whose answers expire after `ttl` seconds."""
    text = re.sub(r"^((?:not_)?found_ttl) = .*", rf"\1 = {ttl}", text, flags=re.MULTILINE)
    text = re.sub(r"^map_size = .*", f"map_size = {_MAP_SIZE}", text, flags=re.MULTILINE)
    if dialect != "mixed":
        text = re.sub(r"^dialect = .*", f'dialect = "{dialect}"', text, flags=re.MULTILINE)
    head, *blocks = institution_blocks(text)
    chosen = [block for block in blocks if any(f'id = "{name}"\n' in block for name in FOUR)]
    return BLOCK.join([head, *chosen])


def records(testbed: Testbed) -> float:
    """How many subjects the store holds, by the broker's own metrics."""
    announced = testbed.broker.announced
    pages = [_get(f"http://{worker['metrics']}/metrics") for worker in announced.get("workers", [announced])]
    # All workers share one store, but read its size at different moments, and so differ a little.
    return max(float(line.split()[-1]) for page in pages for line in page.splitlines() if line.startswith(_RECORDS))


def _get(url: str) -> str:
    with urlopen(url, timeout=10) as response:  # noqa: S310 - the broker's own address
        text: str = response.read().decode()
        return text


def disk_usage(folder: Path) -> int:
    """Bytes that the files in a folder take on disk; less than their size if they are sparse."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
