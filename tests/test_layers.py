"""The layout's import rules, read from the sources: who may know whom, and who may know which loop."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = """
broker.__main__
broker.cli
broker.demo
broker.certs
broker.formats
broker.client
broker.runtime
broker.serving
broker.investigation
broker.peers
broker.metrics
broker.lanes
broker.quotas
broker.store  broker.institutions  broker.loops  broker.audit
broker.config
broker.institution_block  broker.tls_section  broker.audit_section  broker.access_section
broker.access
broker.core
broker.sections
broker.model  broker.errors
broker.secret  broker.private_file  broker.certificate  broker.undumpable
broker.v1
"""
"""From top to bottom. A name stands for a module, or for a package with all there is in it. A module may import from
the lines below its own and from its own package, and never a sibling on its line."""

PURE = {"trio", "asyncio", "grpc", "aiohttp", "lmdb", "prometheus_client", "time", "random", "socket", "threading"}
"""What the core never sees: loops, sockets, disks, clocks and chance come to it as arguments."""

BOTH_LOOPS = {"broker.loops.bridge"}
"""Modules that know trio and asyncio."""

SEPARATE = [
    ("broker.store", "broker.ledger"),  # what may forget, and what never does
    ("broker.ledger", "broker.store"),
    ("broker.lanes", "broker.ledger"),  # what is durable is told to them by whoever leases it
    ("broker.institutions", "broker.ledger"),
    ("broker.investigation", "broker.ledger"),
    ("broker.orders", "broker.store"),  # no measure is ever ordered from a cached answer
    ("broker.audit", "broker.investigation"),  # it is called, it calls nobody
    ("broker.access", "broker.store"),  # a decision is a pure function of identity, policy and request
    ("broker.access", "broker.lanes"),
    ("broker.peers", "broker.access"),  # a forwarded request was admitted where it came in
]
"""Rooms, some still to come, that do not know each other: the first never imports the second."""

LONGEST = 400


def modules(package: str) -> dict[str, Path]:
    """Every module of a package but generated ones, by name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "v1" not in parts:
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


BROKER = modules("broker")
MOCKS = modules("mock_institutions")
ALL = {**BROKER, **MOCKS}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in ALL.items()}


def imports(name: str) -> set[str]:
    """Everything a module imports, wherever in it, as dotted names; `from a import b` counts as a.b if that exists."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute here"
            assert node.module is not None
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if _is_package(node.module) else {node.module}
            )
    return found


def _is_package(name: str) -> bool:
    return (ROOT / Path(*name.split("."))).is_dir()


def roots(name: str) -> set[str]:
    """The top-level packages a module imports."""
    return {one.split(".")[0] for one in imports(name)}


def place(name: str) -> tuple[int, str]:
    """The line of LAYERS a module is on, counted from the bottom, and the entry it falls under."""
    for height, line in enumerate(reversed(LAYERS.split("\n"))):
        for entry in line.split():
            if name == entry or name.startswith(f"{entry}."):
                return height, entry
    pytest.fail(f"{name} is on no line of LAYERS: add it where it belongs")


def own(name: str) -> Iterator[str]:
    """The project's modules that a module imports."""
    return (one for one in imports(name) if one.split(".")[0] in ("broker", "mock_institutions"))


@pytest.mark.parametrize("name", [name for name in BROKER if name != "broker"])
def test_imports_run_downward(name: str) -> None:
    height, entry = place(name)
    for imported in own(name):
        other_height, other_entry = place(imported)
        assert other_height < height or other_entry == entry, f"{name} imports {imported}"


@pytest.mark.parametrize("modules_", [BROKER, MOCKS], ids=["broker", "mock_institutions"])
def test_there_is_no_cycle(modules_: dict[str, Path]) -> None:
    """Imports inside functions count: hidden there, a cycle is still one."""
    left = {name: {one for one in own(name) if one in modules_ and one != name} for name in modules_}
    while free := [name for name, needed in left.items() if not needed]:
        for name in free:
            del left[name]
        left = {name: needed.difference(free) for name, needed in left.items()}
    assert not left, f"these import each other: {sorted(left)}"


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def trespasses(imported: dict[str, set[str]]) -> list[str]:
    """Imports between rooms that do not know each other, given the imports by module."""
    return [
        f"{name} imports {other}"
        for name, others in imported.items()
        for other in others
        for one, forbidden in SEPARATE
        if within(name, one) and within(other, forbidden)
    ]


def test_rooms_that_are_separate_do_not_know_each_other() -> None:
    assert trespasses({name: set(own(name)) for name in BROKER}) == []


@pytest.mark.parametrize(("one", "forbidden"), SEPARATE)
def test_a_trespass_would_be_seen(one: str, forbidden: str) -> None:
    assert trespasses({f"{one}.module": {f"{forbidden}.other"}, one: {"broker.model"}}) == [
        f"{one}.module imports {forbidden}.other"
    ]


def exported(package: str) -> dict[str, str]:
    """What a package's `__init__` takes from its own modules, by name."""
    return {
        alias.asname or alias.name: node.module or ""
        for node in TREES[package].body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}.")
        for alias in node.names
    }


def test_what_a_package_exports_is_not_reached_past_it() -> None:
    packages = {name: exported(name) for name, path in ALL.items() if path.name == "__init__.py"}
    assert packages["broker.client"], "the one that exports something"
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for package, names in packages.items():
                    past = {alias.name for alias in node.names if names.get(alias.name) == node.module}
                    assert within(name, package) or not past, f"{name} reaches past {package} for {sorted(past)}"


@pytest.mark.parametrize("name", [name for name in BROKER if name.startswith(("broker.core", "broker.access"))])
def test_the_core_and_decisions_on_access_are_pure(name: str) -> None:
    assert not roots(name) & PURE


def test_one_module_knows_both_loops() -> None:
    assert {name for name in ALL if {"trio", "asyncio"} <= roots(name)} == BOTH_LOOPS


@pytest.mark.parametrize("name", BROKER)
def test_the_broker_does_not_know_its_mocks(name: str) -> None:
    assert "mock_institutions" not in roots(name)


@pytest.mark.parametrize("name", MOCKS)
def test_the_mocks_know_the_contract_alone(name: str) -> None:
    assert all(one.startswith("broker.v1.") for one in own(name) if one.split(".")[0] == "broker")


@pytest.mark.parametrize("name", ALL)
def test_a_module_says_what_it_is_for_and_is_short(name: str) -> None:
    assert ast.get_docstring(TREES[name]), f"{name} has no docstring"
    lines = len(ALL[name].read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{name} has {lines} lines: it is two modules"


@pytest.mark.parametrize("name", ALL)
def test_no_module_is_named_after_nothing(name: str) -> None:
    assert not {"utils", "util", "helpers", "common", "manager", "misc"} & set(name.split("."))


def test_the_rules_see_what_they_are_to_see() -> None:
    """Should the sources move, no rule may pass for lack of anything to look at."""
    assert len(BROKER) > 30
    assert len(MOCKS) > 10
    assert "broker.core.wire.encoding" in imports("broker.lanes.settlement")
    assert {"trio", "asyncio"} <= imports("broker.loops.bridge")
