"""The worked examples in docstrings of the store are true."""

import doctest
from types import ModuleType

import pytest

from broker.store import block, compaction, index_table


@pytest.mark.parametrize("module", [block, compaction, index_table], ids=lambda module: module.__name__)
def test_the_worked_example_is_true(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted
    assert not failed
