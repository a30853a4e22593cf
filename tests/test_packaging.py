"""The image and the locks, as far as they can be held to their promises without a container engine."""

import fnmatch
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = re.split(r"^FROM .*$", DOCKERFILE, flags=re.MULTILINE)[1:]


def lock(name: str) -> dict[str, str]:
    """Package versions by name."""
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    return {package.lower(): version for package, version in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)}


def test_everything_the_image_copies_is_there_and_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed), source


def test_what_runs_is_a_stage_of_its_own_and_not_root() -> None:
    assert len(STAGES) == 2
    assert "pip" not in STAGES[1].replace("USER", "")
    user = re.findall(r"^USER (\d+):(\d+)$", STAGES[1], re.MULTILINE)
    assert user
    assert user[-1] != ("0", "0")
    assert STAGES[1].index("USER") < STAGES[1].index("CMD")


def test_the_image_starts_commands_there_are() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    started = re.findall(r'^(?:HEALTHCHECK .*)?CMD \["([\w-]+)"', DOCKERFILE, re.MULTILINE)
    assert started
    assert set(started) <= set(scripts)


def test_locks_hold_every_dependency_at_one_version_with_hashes_and_no_host() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime, development = lock("runtime"), lock("dev")
    wanted = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    direct = {re.split(r"[<>=]", one)[0].lower() for one in wanted}
    assert direct <= set(runtime)
    assert set(runtime.items()) <= set(development.items())
    for name in ("runtime", "dev", "oracle", "fuzz", "audit"):
        text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
        assert "://" not in text
        assert "--index" not in text
        assert text.count("==") <= text.count("--hash=sha256:")


def test_the_lock_for_node_holds_every_package_with_a_hash_and_names_no_registry() -> None:
    folder = ROOT / "tests" / "end_to_end" / "stubs"
    packages = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    wanted = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert packages.pop("")["dependencies"] == wanted
    assert {f"node_modules/{name}" for name in wanted} <= set(packages)
    assert all("integrity" in package and "resolved" not in package for package in packages.values())


# Debian 12 has 3.11.2, for which redis wants a package that it does not from 3.11.3 on.
@pytest.mark.parametrize("version", ["3.11.0", "3.11.2", "3.11.99"])
def test_locks_are_whole_for_every_python_3_11_whichever_made_them(version: str) -> None:
    environment = {"python_version": "3.11", "python_full_version": version, "extra": ""}
    for name in ("runtime", "dev"):
        locked = set(map(canonicalize_name, lock(name)))
        for package in locked:
            for line in requires(package) or ():
                wanted = Requirement(line)
                if wanted.marker is None or wanted.marker.evaluate(environment):
                    assert canonicalize_name(wanted.name) in locked, f"{package} wants {line}"


def test_the_interpreter_chosen_can_make_an_environment() -> None:
    chosen = subprocess.run(["/bin/sh", ROOT / "scripts" / "python"], check=True, capture_output=True, text=True)  # noqa: S603
    can = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    assert subprocess.run([chosen.stdout.strip(), "-c", can], check=False).returncode == 0  # noqa: S603


SERVER_ONLY = """
import sys
for name in "aiohttp click cryptography h11 lmdb msgspec numpy prometheus_client rich trio uvloop".split():
    sys.modules[name] = None  # as if it was not installed
"""


def test_the_client_needs_nothing_of_the_server() -> None:
    program = (
        SERVER_ONLY + "from broker.client import BlockingClient, Client, Terms, person; Terms(); person('1', 'n', '1')"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60, check=True)  # noqa: S603 - our own program


def test_without_the_server_the_command_says_what_to_install() -> None:
    program = SERVER_ONLY + "from broker.__main__ import main; main()"
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], cwd=ROOT, timeout=60, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "pip install property-investigation-broker[server]" in ended.stderr
    assert "Traceback" not in ended.stderr
