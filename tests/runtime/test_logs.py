"""Whatever goes wrong, and whoever reports it: the log says what and where, and never with which data."""

import os
import subprocess
import sys

import pytest

DEBTOR = "640221198808083914 欧阳疏影"
_ASCII = ascii(DEBTOR)[1:-1]

SETUP = """
import asyncio, gc, logging, os, sys, threading, warnings
import uvloop
from broker.runtime.logs import log_to_stderr
DEBTOR = os.environ["DEBTOR"]
def fail(): raise ValueError(DEBTOR)
async def fail_later(): fail()
log_to_stderr()
"""

CASES = {
    "message": ("logging.getLogger('aiohttp.server').error('bad: %s', DEBTOR)", "ERROR aiohttp.server: "),
    "message without arguments": ("logging.getLogger('aiohttp.server').error(DEBTOR)", "ERROR aiohttp.server: "),
    "name that begins like ours": ("logging.getLogger('brokerage').error(DEBTOR)", "ERROR brokerage: "),
    "root logger": ("logging.error(DEBTOR)", "ERROR root: "),
    "library's traceback": (
        """
try: fail()
except ValueError: logging.getLogger('asyncio').exception('failed')
""",
        "ValueError at <string>",
    ),
    "own traceback": (
        """
try: fail()
except ValueError: logging.getLogger('broker.x').exception('failed')
""",
        "ERROR broker.x: failed: ValueError at <string>",
    ),
    "traceback another handler has made text of": (
        """
logging.getLogger().handlers.insert(0, logging.StreamHandler(open(os.devnull, 'w')))
try: fail()
except ValueError: logging.getLogger('broker.x').exception('failed')
""",
        "ERROR broker.x: failed: ValueError at <string>",
    ),
    "message that cannot be formatted": ("logging.getLogger('broker.x').error('%d', DEBTOR)", "ERROR broker.x: "),
    "own message": ("logging.getLogger('broker.x').error('%d lookups', 3)", "ERROR broker.x: 3 lookups"),
    "warning": ("warnings.warn(DEBTOR)", "UserWarning at <string>"),
    "program": ("fail()", "ValueError"),
    "program, for a cause": ("try: fail()\nexcept ValueError as error: raise KeyError from error", "ValueError"),
    "program, while handling": ("try: fail()\nexcept ValueError: raise KeyError", "ValueError"),
    "program, in a group": ("raise ExceptionGroup(DEBTOR, [ValueError(DEBTOR), KeyError(DEBTOR)])", "ValueError"),
    "program, with a note": ("error = ValueError(); error.add_note(DEBTOR); raise error", "ValueError"),
    "thread": ("thread = threading.Thread(target=fail, name=DEBTOR); thread.start(); thread.join()", "ValueError"),
    "finaliser": ("type(DEBTOR, (), {'__del__': lambda _: fail()})()", "ValueError"),
}
CASES |= {
    f"{failure} on {loop}": (f"with asyncio.Runner(loop_factory={loop}) as runner: runner.run(main())", expected)
    for loop in ("asyncio.new_event_loop", "uvloop.new_event_loop")
    for failure, expected in (("callback", "ValueError at <string>"), ("task", "ValueError at <string>"))
}
MAIN = {
    "callback": """
async def main():
    asyncio.get_running_loop().call_soon(lambda _: fail(), DEBTOR)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
""",
    "task": """
async def main():
    task = asyncio.create_task(fail_later(), name=DEBTOR)
    await asyncio.wait({task})
    del task
    gc.collect()
""",
}


@pytest.mark.parametrize("case", CASES)
def test_the_log_says_what_and_where_and_never_with_which_data(case: str) -> None:
    act, expected = CASES[case]
    program = SETUP + MAIN.get(case.partition(" ")[0], "") + act
    written = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        env={**os.environ, "DEBTOR": DEBTOR, "PYTHONIOENCODING": "utf-8:backslashreplace"},
        timeout=60,
    )
    log = written.stderr.decode()
    assert expected in log
    assert not any(part in log for part in (*DEBTOR.split(), *_ASCII.split()))
    assert not written.stdout
