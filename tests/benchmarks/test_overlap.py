"""Overlapping streams ask for the same persons at about the same time, and everything is answered right."""

from benchmarks import overlap
from benchmarks.load_generator import sample
from benchmarks.overlap import OverlapSetting, overlapping
from broker.v1 import investigation_pb2 as pb

SETTING = OverlapSetting(institutions=8, subjects=50, batch=10, streams=3)


def test_every_stream_asks_for_all_persons_in_the_same_windows() -> None:
    lookups = sample(1, SETTING.subjects)
    streams = overlapping(lookups, SETTING, seed=1)
    asked = [
        [[lookup.ref for lookup in pb.InvestigateRequest.FromString(request.body).lookups] for request in stream]
        for stream in streams
    ]
    assert len(asked) == SETTING.streams
    for stream in asked:
        assert [len(request) for request in stream] == [10] * 5
        assert sorted(ref for request in stream for ref in request) == sorted(lookup.ref for lookup in lookups)
        for first in (0, 2):
            assert set(stream[first] + stream[first + 1]) == set(asked[0][first] + asked[0][first + 1])
    assert asked[0] != asked[1]


def test_overlapping_streams_get_all_answers_and_each_inquiry_is_asked_once() -> None:
    result = overlap.measure(SETTING, seed=1)
    assert result.inquiries == SETTING.institutions * SETTING.subjects * SETTING.streams
    assert result.sources["institution"] == SETTING.institutions * SETTING.subjects
    assert (result.lost, result.unanswered, result.failed, result.duplicates) == (0, 0, 0, 0)
    assert result.check.reports == SETTING.subjects  # those of one stream are kept
    assert (result.check.checked, result.check.wrong) == (SETTING.subjects * SETTING.institutions, 0)
    assert result.longest_step_cpu > 0
    assert result.longest_step_name
