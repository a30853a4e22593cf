"""A policy stays in force until a valid one takes its place: workers that crash are followed by ones that have it."""

import os
import re
import signal
from pathlib import Path

import grpc

from tests.end_to_end.conftest import Mocks
from tests.end_to_end.test_worker_processes import WorkerPool, others_go_on
from tests.end_to_end.testbed import asking, run, sample

POLICY = '[[rule]]\nname = "one"\noperators = ["nobody"]\n'


class GuardedPool(WorkerPool):
    """One with a policy."""

    def configure(self, **settings: float) -> None:
        super().configure(**settings)
        self.policy = self.file.with_name("policy.toml")
        self.policy.write_text(POLICY, encoding="utf-8")
        text = re.sub(
            '^policy = ""', 'policy = "policy.toml"', self.file.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        self.file.write_text(text, encoding="utf-8")


async def until_logged(pool: WorkerPool, words: str, times: int) -> None:
    while len(re.findall(words, pool.program.log)) < times:
        await others_go_on()


async def is_refused(pool: WorkerPool) -> bool:
    """Whether a caller without a certificate is refused."""
    async with pool.connection() as connection:
        try:
            await connection.ask(asking(sample(1)))
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.PERMISSION_DENIED
    return False


def test_a_worker_that_crashes_is_followed_by_one_with_the_policy_in_force(mocks: Mocks, tmp_path: Path) -> None:
    pool = GuardedPool(tmp_path, mocks)

    async def scenario() -> None:
        assert await is_refused(pool)
        pool.policy.write_text("nonsense", encoding="utf-8")
        pool.tell(signal.SIGHUP)
        await until_logged(pool, "not reloaded.*access.policy", 1)
        ready = len(re.findall("is ready", pool.program.log))
        for pid in pool.pids():
            os.kill(pid, signal.SIGKILL)
        await until_logged(pool, "is ready", ready + 2)
        assert await is_refused(pool)

    try:
        run(scenario)
    finally:
        pool.stop()
    assert (tmp_path / "quotas" / "policy-in-force.toml").read_text(encoding="utf-8") == POLICY
