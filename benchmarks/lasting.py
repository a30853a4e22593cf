"""A stage that lasts: its store, its key and its configuration stay in a folder, for the next sitting of a long run."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from urllib.request import urlopen

from benchmarks.stage import FOUR, Program, Stage
from broker.demo.testbed import configuration

_MAP_SIZE = 1 << 36  # 64 GiB; takes no room before it is filled
# Answers are dated in whole seconds and can expire that much sooner for the broker than for the mock that gave them.
_ROUNDING = 2.0


@contextmanager
def lasting_stage(folder: Path, *, seed: int, dialect: str, lifetime: float, workers: int | None) -> Iterator[Stage]:
    """Four mocks, and a broker that may keep their answers for `lifetime` seconds.

    `dialect`: json, protobuf, or "mixed", which is what the default configuration has. `workers`: as many as the
    broker's configuration says if None.
    """
    folder = folder.resolve()
    (folder / "mocks.toml").write_text(mocks_text(lifetime), encoding="utf-8")
    arguments = ("--config", "mocks.toml", "--seed", str(seed), "--port-base", "0")
    mocks = Program("mock_institutions", "serve", *arguments, log=folder / "mocks.log")
    try:
        text = broker_text(configuration(folder, mocks.said["institutions"]), dialect, lifetime)
        (folder / "broker.toml").write_text(text, encoding="utf-8")
        pool = () if workers is None else ("--workers", str(workers))
        broker = Program("broker", "serve", "--config", "broker.toml", *pool, log=folder / "broker.log")
        try:
            yield Stage(folder, mocks, broker)
        finally:
            broker.stop()
    finally:
        mocks.stop()


def mocks_text(lifetime: float) -> str:
    """The mocks' configuration: asked again within `lifetime` seconds, they count a duplicate."""
    text = (files("mock_institutions") / "default.toml").read_text(encoding="utf-8")
    text = re.sub(r"^lifetime = .*\n", "", text, flags=re.MULTILINE)
    return text.replace("[[institutions]]\n", f"[[institutions]]\nlifetime = {max(1.0, lifetime - _ROUNDING)}\n")


def broker_text(text: str, dialect: str, lifetime: float) -> str:
    """A broker's configuration with only the four institutions, and their answers good for `lifetime` seconds."""
    text = re.sub(r"^((?:not_)?found_ttl) = .*", rf"\1 = {lifetime}", text, flags=re.MULTILINE)
    text = re.sub(r"^map_size = .*", f"map_size = {_MAP_SIZE}", text, flags=re.MULTILINE)
    if dialect != "mixed":
        text = re.sub(r"^dialect = .*", f'dialect = "{dialect}"', text, flags=re.MULTILINE)
    head, *blocks = text.split("[[institution]]\n")
    chosen = [block for block in blocks if any(f'id = "{name}"\n' in block for name in FOUR)]
    return "[[institution]]\n".join([head, *chosen])


def records(scene: Stage) -> float:
    """How many subjects the store holds, by the broker's own metrics."""
    said = scene.broker.said
    pages = [_get(f"http://{worker['metrics']}/metrics") for worker in said.get("workers", [said])]
    # One store serves all workers, and what they read of it at different moments differs a little.
    return max(float(line.split()[-1]) for page in pages for line in page.splitlines() if line.startswith(_RECORDS))


_RECORDS = "broker_store_records "


def _get(url: str) -> str:
    with urlopen(url, timeout=10) as response:  # noqa: S310 - the broker's own address
        text: str = response.read().decode()
        return text


def on_disk(folder: Path) -> int:
    """Bytes that the files in a folder take on disk, which for a sparse file is less than its size."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
