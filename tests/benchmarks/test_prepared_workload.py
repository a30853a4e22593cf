"""A prepared workload gives the whole schedule once, as the requests a court would send."""

from pathlib import Path

import pytest

from benchmarks.prepared_workload import Portions, PreparedWorkload, prepare
from benchmarks.workload import WorkloadSpec
from broker.v1 import investigation_pb2 as pb

SPEC = WorkloadSpec(inquiries=9_000, batch=100, interactive=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workload")
    prepare(folder, SPEC)
    return folder


@pytest.fixture(scope="module")
def portions(folder: Path) -> Portions:
    return Portions(SPEC, PreparedWorkload(folder))


def test_portions_give_the_schedule(folder: Path, portions: Portions) -> None:
    requests = [request for number in range(portions.count) for request in portions.requests(number)]
    assert [one for request in requests for one in request.subjects] == PreparedWorkload(
        folder
    ).schedule.subjects.tolist()
    assert portions.searches(portions.count) == len(PreparedWorkload(folder).schedule.subjects)


def test_a_portion_is_a_batch_and_single_lookups(portions: Portions) -> None:
    requests = portions.requests(3)
    assert [len(request.subjects) for request in requests] == [1, 1, 100]
    assert [request.is_bulk for request in requests] == [False, False, True]


def test_requests_name_their_subjects_and_priority(portions: Portions) -> None:
    for request in portions.requests(5):
        message = pb.InvestigateRequest.FromString(request.body)
        assert message.priority == (pb.PRIORITY_BULK if request.is_bulk else pb.PRIORITY_INTERACTIVE)
        assert [int(lookup.ref, 16) for lookup in message.lookups] == request.subjects


def test_a_portion_can_be_made_again(folder: Path, portions: Portions) -> None:
    assert Portions(SPEC, PreparedWorkload(folder)).requests(7) == portions.requests(7)


def test_a_folder_is_filled_once(folder: Path) -> None:
    before = (folder / "lookups.bin").stat().st_mtime_ns
    prepare(folder, SPEC)
    assert (folder / "lookups.bin").stat().st_mtime_ns == before


def test_a_single_lookup_can_be_read(folder: Path) -> None:
    assert PreparedWorkload(folder).lookup(17).ref == "11"
