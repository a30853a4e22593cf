"""The load test's own options of Locust's command line, and what they mean.

Their values are numbers and texts, because Locust sends them from its master to its workers.
"""

from pathlib import Path
from typing import Any

from broker.client import Credentials
from loadtest.outcome import FACTS, OUTCOMES
from loadtest.people import ListedPeople, People, SyntheticPeople
from loadtest.thresholds import Thresholds
from loadtest.truth import Baseline, MockTruth, Truth, UnknownTruth
from mock_institutions.population import Lookup

_PERSONS = ("RESIDENT_ID", "PASSPORT", "MILITARY_ID", "HK_MACAO_PERMIT", "TAIWAN_PERMIT", "ORGANIZATION_CODE")


_CERTIFICATES = {
    "ca": "Authority of the broker; without it, connections are plain text",
    "certificate": "Certificate that courts show",
    "key": "Its private key",
}


def add_options(parser: Any) -> None:
    """Adds the options to Locust's parser."""
    group = parser.add_argument_group("Courts", "What courts ask, and which answers pass")
    add = group.add_argument
    for name, text in _CERTIFICATES.items():
        add(f"--{name}", metavar="FILE", env_var=f"BROKER_{name.upper()}", default="", help=f"{text} (PEM)")
    add(
        "--user-rate",
        type=_positive,
        metavar="N",
        help="Requests per second of each user (default: pauses of 0.1 to 0.5 s)",
    )
    add(
        "--request-timeout", type=_positive, default=30.0, metavar="SECONDS", help="Deadline of a request (default: 30)"
    )
    add(
        "--truth",
        default="mocks",
        metavar="mocks|none|FILE",
        help="Which answers are right: those of the mock institutions with --mock-seed, of any institution (none), or "
        "of a baseline recorded with --record (default: mocks)",
    )
    add("--mock-seed", type=int, default=1, help="Seed of the mock institutions' population (default: 1)")
    add(
        "--people-seed",
        type=int,
        help="Ask about the same people in each run with this seed (default: new people in each run)",
    )
    add("--people", metavar="FILE", help="Ask about the people in this CSV file: type,number,name")
    add(
        "--allow",
        action="append",
        default=[],
        choices=[outcome for outcome in OUTCOMES if outcome not in FACTS],
        metavar="OUTCOME",
        help="An outcome that is no failure, besides FOUND and NOT_FOUND; repeatable",
    )
    add("--record", metavar="FILE", help="Record the answers of this run as a baseline for --truth")
    add(
        "--max-failure-ratio",
        type=_ratio,
        default=0.0,
        metavar="R",
        help="Fail if more than this share of the requests failed, 0 to 1 (default: 0)",
    )
    add("--p99", type=_positive, metavar="MS", help="Fail if a kind of request takes longer to its last report at p99")
    add("--result", metavar="FILE", help="Write the result to this file, as JSON")


def truth_of(options: Any) -> Truth:
    """The truth that the options name. Raises `BaselineError` or `OSError`."""
    if options.truth == "mocks":
        return MockTruth(options.mock_seed)
    return UnknownTruth() if options.truth == "none" else Baseline.read(Path(options.truth))


def credentials_of(options: Any) -> Credentials | None:
    """The certificates that the options name; None: plain text. Raises `ValueError`."""
    given = {name: getattr(options, name) or None for name in _CERTIFICATES}
    return Credentials(**given) if any(given.values()) else None


def people_of(options: Any, process: int) -> People:
    """The people that the options name. `process`: the number of this process in the run."""
    if options.people:
        return ListedPeople(read_people(Path(options.people)))
    return SyntheticPeople(options.mock_seed, options.people_seed, process)


def thresholds_of(options: Any) -> Thresholds:
    """The thresholds that the options name."""
    return Thresholds(max_failure_ratio=options.max_failure_ratio, p99=options.p99)


def read_people(path: Path) -> list[Lookup]:
    """The people of a CSV file. Raises `ValueError` or `OSError`."""
    people = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        subject_type, _, rest = line.strip().partition(",")
        document, _, name = rest.partition(",")
        if not line.strip() or subject_type == "type":
            continue
        if subject_type not in _PERSONS or not document or not name:
            msg = f"{path}, line {number}: must be type,number,name, with a type of {', '.join(_PERSONS)}"
            raise ValueError(msg)
        people.append(Lookup(f"line-{number}", subject_type, document, name))  # type: ignore[arg-type] # checked above
    if not people:
        msg = f"{path}: contains no people"
        raise ValueError(msg)
    return people


def _positive(text: str) -> float:
    if (value := float(text)) <= 0:
        msg = "must be more than 0"
        raise ValueError(msg)
    return value


def _ratio(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        msg = "must be from 0 to 1"
        raise ValueError(msg)
    return value
