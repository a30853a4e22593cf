"""Makes `usefixtures("autojump_clock")` do what it says: pytest-trio itself looks only at a test's arguments."""

from collections.abc import Iterator
from inspect import iscoroutinefunction

import pytest
from hypothesis import settings

from tests.fakes import run_in_virtual_time

# How long an example takes says something about the machine's other tenants, and nothing about the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sees to it that tests in virtual time are run in it."""
    for item in items:
        marks = item.iter_markers("usefixtures")
        is_async = isinstance(item, pytest.Function) and iscoroutinefunction(item.obj)
        if is_async and any("autojump_clock" in mark.args for mark in marks):
            item.add_marker(pytest.mark.trio(run=run_in_virtual_time), append=False)


@pytest.fixture(autouse=True, scope="session")
def _may_be_dumped() -> Iterator[None]:
    """Programs that tests run within this process do not forbid it, and all its children, to leave cores."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("broker.cli", "broker.store.lmdb_check", "broker.institutions.decoding_process"):
            patch.setattr(f"{module}.forbid_dumps", lambda: None)
        yield


_LONGEST_ID = 60  # characters of a case's name that are its value


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names cases by their argument where the value is bytes or long.

    Processes that share the tests have to collect the same names, and times or random keys may be in such values.
    """
    if isinstance(val, bytes) or (isinstance(val, str) and len(val) > _LONGEST_ID):
        return argname
    return None
