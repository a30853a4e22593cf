"""What follows when a worker has ended."""

from typing import Any

import pytest

from broker.runtime.restart_policy import RestartPolicy, WorkerEnd


def ended(**changes: Any) -> WorkerEnd:
    """A worker that had served for a minute and ended by itself, but for these changes."""
    return WorkerEnd(**{"code": 1, "lived": 60.0, "got_ready": True, **changes})


EARLY = ended(lived=5.0)
WANTED = ended(code=0, wanted=True)
NEVER_READY = ended(lived=5.0, got_ready=False)

SEQUENCES: list[tuple[str, list[WorkerEnd], list[float | None]]] = [
    ("it had lived", [ended(), ended()], [0.0, 0.0]),
    ("it had not lived", [EARLY] * 9, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]),
    ("it lived in between", [EARLY, EARLY, ended(), EARLY], [0.5, 1.0, 0.0, 0.5]),
    ("it was replaced in between", [EARLY, EARLY, WANTED, EARLY], [0.5, 1.0, 0.0, 0.5]),
    ("it was replaced before it had lived", [ended(lived=1.0, wanted=True)] * 3, [0.0] * 3),
    ("the first never gets ready", [NEVER_READY], [None]),
    ("the first is killed before it is ready", [ended(code=-9, lived=60.0, got_ready=False)], [None]),
    ("a later one never gets ready", [ended(), NEVER_READY, NEVER_READY], [0.0, 0.5, 1.0]),
    ("the first is replaced before it is ready", [ended(got_ready=False, wanted=True), NEVER_READY], [0.0, None]),
]


@pytest.mark.parametrize(("ends", "pauses"), [case[1:] for case in SEQUENCES], ids=[case[0] for case in SEQUENCES])
def test_when_the_next_one_starts(ends: list[WorkerEnd], pauses: list[float | None]) -> None:
    policy = RestartPolicy()
    assert [start and start.pause for start in map(policy.after, ends)] == pauses


KILLED, CRASHED = ended(code=-9), ended(code=-7)
HUNG = ended(code=-9, hung=True)
CRASHED_IN_STARTING, HUNG_IN_STARTING = ended(code=-11, got_ready=False), ended(code=-9, hung=True, got_ready=False)

SUSPICIONS: list[tuple[str, list[WorkerEnd], list[bool | None]]] = [
    ("it ended by itself, or was killed by somebody", [ended(), KILLED, ended(code=-15), WANTED], [False] * 4),
    ("any signal that damage can cause", [ended(code=-number) for number in (4, 6, 7, 8, 11)], [True] * 5),
    ("it crashed, and the next one was replaced", [CRASHED, WANTED], [True, False]),
    ("it crashed while it was stopping", [ended(code=-7, wanted=True), ended()], [True, False]),
    ("it crashed, and the next ones never got ready", [CRASHED, NEVER_READY, NEVER_READY], [True, True, True]),
    ("the first crashes in starting", [CRASHED_IN_STARTING, WANTED], [True, False]),
    ("the first crashes in starting, though checked", [CRASHED_IN_STARTING, CRASHED_IN_STARTING], [True, None]),
    ("it hung once", [HUNG, ended(), HUNG], [False, False, False]),
    ("it hung twice in a row", [HUNG, HUNG, ended()], [False, True, False]),
    ("the first hangs in starting", [HUNG_IN_STARTING], [None]),
]


@pytest.mark.parametrize(("ends", "checks"), [case[1:] for case in SUSPICIONS], ids=[case[0] for case in SUSPICIONS])
def test_whether_the_next_one_checks_the_file(ends: list[WorkerEnd], checks: list[bool | None]) -> None:
    policy = RestartPolicy()
    assert [start and start.after_crash for start in map(policy.after, ends)] == checks


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "ended with exit code 0"),
        (2, "ended with exit code 2"),
        (-9, "was ended by SIGKILL"),
        (-7, "was ended by SIGBUS"),
        (-64, "was ended by SIGRTMAX"),
        (-63, "was ended by signal 63"),
    ],
)
def test_how_it_ended_is_told_in_words(code: int, text: str) -> None:
    assert str(ended(code=code)) == text
