"""The worked examples in docstrings of the core are true."""

import doctest
from types import ModuleType

import pytest

from broker.core.subjects import plain_lookups
from broker.core.wire import encoding


@pytest.mark.parametrize("module", [plain_lookups, encoding], ids=lambda module: module.__name__)
def test_the_worked_example_is_true(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted
    assert not failed
