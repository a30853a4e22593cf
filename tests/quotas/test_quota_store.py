"""Quotas on disk: compared with sets of subjects, over several workers, restarts and `kill -9`."""

import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.quota import Exceeded, Scope, day_of
from broker.errors import StoreError
from broker.quotas import quota_store
from broker.quotas.quota_store import QuotaStore
from tests.quotas.charging_process import commitments

NOW = 1_767_225_600.0
TODAY = 20_454
assert day_of(NOW) == TODAY

Request = tuple[list[Scope], list[int]]


class Model:
    """What quotas are to be: sets."""

    def __init__(self) -> None:
        self._charged: dict[tuple[int | None, bytes], set[int]] = defaultdict(set)

    def charge(self, scopes: list[Scope], subjects: list[int]) -> Exceeded | None:
        for scope in scopes if subjects else ():
            charged = self._charged[scope.day, scope.key]
            new = set(subjects) - charged
            if len(charged) + len(new) > scope.limit:
                return Exceeded(scope, used=len(charged), wanted=len(new))
        for scope in scopes:
            self._charged[scope.day, scope.key] |= set(subjects)
        return None


@contextmanager
def opened(path: Path, **options: object) -> Iterator[QuotaStore]:
    store = QuotaStore(path, **options)  # type: ignore[arg-type]
    try:
        yield store
    finally:
        store.close()


def scope(quota: str = "case", *, limit: int = 10, day: int | None = None) -> Scope:
    return Scope(quota, quota.encode().ljust(16, b"\0"), limit, day)


SCOPES = st.lists(
    st.builds(
        scope,
        st.sampled_from(["case", "court_per_day"]),
        limit=st.sampled_from([5, 12, 20]),
        day=st.sampled_from([None, TODAY]),
    ),
    unique_by=lambda one: (one.key, one.day),
    max_size=3,
)
REQUESTS = st.lists(st.tuples(SCOPES, st.lists(st.integers(0, 25), max_size=10)), min_size=5, max_size=40)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuotaStore]:
    with opened(tmp_path_factory.mktemp("quotas")) as store:
        yield store


@given(requests=REQUESTS, most_parts=st.sampled_from([1, 3, 256]))
def test_quotas_are_sets_of_subjects(shared: QuotaStore, requests: list[Request], most_parts: int) -> None:
    model, example = Model(), os.urandom(8)  # each example has scopes of its own
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quota_store, "_MOST_PARTS", most_parts)
        for given_scopes, subjects in requests:
            scopes = [Scope(one.quota, one.key[:8] + example, one.limit, one.day) for one in given_scopes]
            assert shared.charge(scopes, commitments(subjects), NOW) == model.charge(scopes, subjects)


class Worker:
    """Another process that charges the same quotas."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-m", "tests.quotas.charging_process", str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        self._answer()

    def send(self, scopes: list[Scope], subjects: list[int]) -> None:
        assert self._process.stdin is not None
        written = [(one.quota, one.key.hex(), one.limit, one.day) for one in scopes]
        self._process.stdin.write(json.dumps([written, subjects, NOW]) + "\n")
        self._process.stdin.flush()

    def charge(self, scopes: list[Scope], subjects: list[int]) -> list[object] | None:
        self.send(scopes, subjects)
        found: list[object] | None = json.loads(self._answer())
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def test_quotas_hold_across_workers_and_kills(tmp_path: Path) -> None:
    chance, model = random.Random(1), Model()  # noqa: S311
    with ExitStack() as stack:
        workers = [Worker(tmp_path) for _ in range(2)]
        stack.callback(lambda: list(map(Worker.kill, workers)))
        for number in range(300):
            if number in (100, 200):
                workers[number % 3 % 2].kill()
                workers[number % 3 % 2] = Worker(tmp_path)
            scopes = [scope("case", limit=150), scope("court_per_day", limit=chance.choice([100, 200]), day=TODAY)]
            subjects = [chance.randrange(300) for _ in range(chance.randrange(20))]
            expected = model.charge(scopes, subjects)
            found = chance.choice(workers).charge(scopes, subjects)
            assert found == (expected and [expected.scope.quota, expected.used, expected.wanted])


def test_a_worker_that_is_killed_while_it_charges_has_charged_all_scopes_or_none(tmp_path: Path) -> None:
    both = [scope("case", limit=10**6), scope("court_per_day", limit=10**6, day=TODAY)]
    counts = [replaced(one, limit=0) for one in both]
    for attempt in range(3):
        worker = Worker(tmp_path)
        for number in range(50):
            worker.send(both, list(range(1000 * (50 * attempt + number), 1000 * (50 * attempt + number + 1))))
        worker.kill()
        with opened(tmp_path) as store:
            used = [asked.used for one in counts if (asked := store.charge([one], commitments([10**9]), NOW))]
        assert used[0] == used[1]
        assert used[0] % 1000 == 0


def replaced(one: Scope, *, limit: int) -> Scope:
    return Scope(one.quota, one.key, limit, one.day)


def test_nothing_is_charged_when_one_scope_has_no_room(tmp_path: Path) -> None:
    wide, narrow = scope("case", limit=10), scope("court_per_day", limit=2, day=TODAY)
    with opened(tmp_path) as store:
        assert store.charge([wide, narrow], commitments([1, 2, 3]), NOW) == Exceeded(narrow, used=0, wanted=3)
        assert store.charge([replaced(wide, limit=0)], commitments([1]), NOW) == Exceeded(replaced(wide, limit=0), 0, 1)


def test_a_quota_that_is_full_still_allows_what_was_charged(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for subjects in ([1, 2], [2, 3, 4], [4, 5, 5, 5]):
            assert store.charge([scope(limit=5)], commitments(subjects), NOW) is None
        assert store.charge([scope(limit=5)], commitments([6, 1]), NOW) == Exceeded(scope(limit=5), 5, 1)
        assert store.charge([scope(limit=5)], commitments([5, 4, 3, 2, 1]), NOW) is None


def test_a_quota_that_was_lowered_allows_what_was_charged_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.charge([scope(limit=5)], commitments([1, 2, 3]), NOW)
        assert store.charge([scope(limit=2)], commitments([1]), NOW) == Exceeded(scope(limit=2), 3, 0)
        assert store.charge([scope(limit=3)], commitments([1]), NOW) is None


def test_a_day_begins_with_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for day in (TODAY, TODAY + 1):
            assert store.charge([scope(limit=1, day=day)], commitments([day]), NOW) is None
            assert store.charge([scope(limit=1, day=day)], commitments([1]), NOW) is not None


def test_old_days_are_deleted_and_cases_are_not(tmp_path: Path) -> None:
    later = NOW + 10 * 86_400
    days = [scope(limit=1, day=day) for day in (TODAY, TODAY + 5, TODAY + 10)]
    with opened(tmp_path, sync_interval=3600.0) as store:
        for one in (scope(limit=1), *days):
            store.charge([one], commitments([1]), later)
        store._delete_before(TODAY + 10 - quota_store._KEPT_DAYS)
        room = [store.charge([one], commitments([2]), later) is None for one in (scope(limit=1), *days)]
    assert room == [False, True, False, False]


def test_without_scopes_or_subjects_nothing_is_charged(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert store.charge([], commitments([1]), NOW) is None
        assert store.charge([scope(limit=0)], b"", NOW) is None


def test_the_file_belongs_to_its_owner_and_shows_no_scope(tmp_path: Path) -> None:
    with opened(tmp_path / "new" / "quotas") as store:
        store.charge([scope()], commitments([1]), NOW)
    folder = tmp_path / "new" / "quotas"
    assert folder.stat().st_mode & 0o77 == 0
    assert (folder / "data.mdb").stat().st_mode & 0o77 == 0


def test_a_damaged_file_is_refused_after_a_power_failure(tmp_path: Path) -> None:
    with opened(tmp_path, boot="before") as store:
        store.charge([scope(limit=10**6)], commitments(list(range(10_000))), NOW)
    data = tmp_path / "data.mdb"
    content = bytearray(data.read_bytes())
    content[3 * 4096 : 3 * 4096 + 16] = bytes(16)  # the head of a page
    data.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged.*move the folder away: that forgets"):
        QuotaStore(tmp_path, boot="after")


def test_a_whole_file_is_opened_after_a_power_failure(tmp_path: Path) -> None:
    for boot, exceeded in (("before", False), ("after", True)):
        with opened(tmp_path, boot=boot) as store:
            assert (store.charge([scope(limit=1)], commitments([exceeded]), NOW) is not None) is exceeded


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(StoreError, match="quotas"):
        QuotaStore(tmp_path)
    with pytest.raises(StoreError, match="quotas"):
        QuotaStore(tmp_path / "data.mdb")


def test_what_cannot_be_synchronised_refuses_further_charges(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def __init__(self, environment: lmdb.Environment) -> None:
            self._environment = environment
            self.close = environment.close

        def sync(self, _force: bool) -> None:
            raise lmdb.DiskError("no such device")

    with opened(tmp_path, sync_interval=0.0) as store:
        store._stopped.set()
        store._thread.join()
        store._stopped.clear()
        store._environment = Failing(store._environment)  # type: ignore[assignment]
        store._keep(0.0)
        assert "no such device" in caplog.text
        with pytest.raises(StoreError, match="no such device; nothing is allowed"):
            store.charge([scope()], commitments([1]), NOW)
