"""The key of the cache is replaced while a broker with two workers serves: nothing is asked twice."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from broker.runtime.key_ring import KeyRing
from tests.end_to_end.conftest import Mocks
from tests.end_to_end.test_worker_processes import WorkerPool, others_go_on
from tests.end_to_end.testbed import run, sample

KNOWN = sample(40)


def keys(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "broker", "keys", *arguments], check=True, capture_output=True)  # noqa: S603


async def reload(pool: WorkerPool, outcome: str) -> None:
    """Has the key file read again, and asks all the while about what is known."""
    said = pool.program.log.count(outcome)
    pool.tell(signal.SIGHUP)
    while pool.program.log.count(outcome) == said:
        assert await knows(pool)
        await others_go_on()


async def knows(pool: WorkerPool) -> bool:
    async with pool.connection() as connection:
        return await connection.knows(KNOWN)


def test_a_key_is_replaced_while_the_broker_serves(mocks: Mocks, tmp_path: Path) -> None:
    pool = WorkerPool(tmp_path, mocks)
    found = re.search(r'^\[store\].*?^key_file = "(.*?)"', pool.file.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    file = tmp_path / found[1]

    async def scenario() -> None:
        while not await knows(pool):  # until it is committed, the other worker does not
            await others_go_on()
        asked = pool.asked()
        (old,) = KeyRing.parse(file.read_text()).names
        whole = file.read_text()
        file.write_text(whole.replace(whole[-10:-1], "012345678"))  # another key at once
        await reload(pool, "not reloaded")
        file.write_text(whole)
        keys("add", str(file), "--name", "next")
        await reload(pool, "reloaded: workers")
        keys("seal-with", str(file), "next")
        await reload(pool, "reloaded: workers")
        assert await knows(pool)
        assert pool.asked() == asked
        assert "next is new" not in pool.program.log
        assert f"{old} is new and would seal" in pool.program.log

    try:
        run(scenario)
    finally:
        pool.stop()
    assert not list(tmp_path.glob("cache.*")), "no store was set aside"
