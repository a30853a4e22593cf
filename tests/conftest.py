"""Makes `usefixtures("autojump_clock")` do what it says: pytest-trio itself looks only at a test's arguments."""

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
