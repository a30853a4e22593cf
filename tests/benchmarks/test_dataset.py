"""A dataset never asks twice about an uncached person."""

from benchmarks.dataset import Dataset


def test_no_uncached_person_is_drawn_twice() -> None:
    dataset = Dataset(1, cached=30)
    dataset.add(25)
    requests = [dataset.bulk(5, 10), dataset.single_uncached(), dataset.bulk(5, 10)]
    uncached = [one for request in requests for one in request.subjects if one >= dataset.cached]
    assert uncached == list(range(30, 51))
    assert dataset.uncached == 4
    assert all(one < dataset.cached for one in dataset.single_cached().subjects)
    assert [one for request in dataset.warm_up(20) for one in request.subjects] == list(range(30))
    assert dataset.lookup(40).ref == "28"
