"""Reads when answers were observed from their encoded form, many at a time.

A segment (`core.wire.encoding`) of an answer with a time is

    0x2a length  0x0a size id  0x10 outcome  0x1a length  0x08 seconds  ...

where the length at the beginning takes one to three bytes, and `seconds` five, from 1978 until 3058. Whatever else a
dialect has made of it is parsed.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from broker.v1 import investigation_pb2 as pb

_FEW = 10  # segments; up to here, numpy's fixed cost is more than parsing them
_SECONDS = 5  # bytes of the varint
_CONTINUES = 0x80
_WIDEST = 16  # bytes after the id that are looked at; segments may be shorter at the end of the last one


def observed_times(segments: Sequence[bytes]) -> NDArray[np.uint32]:
    """When each answer was observed, in seconds since the epoch; 0 where the answer has no time."""
    if len(segments) <= _FEW:
        return np.fromiter(map(_parsed, segments), np.uint32, len(segments))
    lengths = np.fromiter(map(len, segments), np.int64, len(segments))
    data = np.frombuffer(b"".join([*segments, bytes(_WIDEST)]), np.uint8)
    starts = lengths.cumsum() - lengths
    second = data[starts + 1] >= _CONTINUES
    third = second & (data[starts + 2] >= _CONTINUES)
    id_at = starts + 3 + second + third
    at = id_at + 1 + data[id_at] + 2  # after size, id, and outcome with its tag
    groups = data[at[:, None] + np.arange(3 + _SECONDS)]
    usual = (groups[:, 0] == 0x1A) & (groups[:, 2] == 0x08) & (groups[:, 7] < 0x10)
    usual &= (groups[:, 3:7] >= _CONTINUES).all(axis=1)
    seconds = (groups[:, 3:] & 0x7F).astype(np.uint64) @ _PLACES
    times: NDArray[np.uint32] = seconds.astype(np.uint32)
    for index in np.flatnonzero(~usual).tolist():
        times[index] = _parsed(segments[index])
    return times


_PLACES = np.array([1 << 7 * place for place in range(_SECONDS)], np.uint64)


def _parsed(segment: bytes) -> int:
    """The same for one answer, by protobuf."""
    (answer,) = pb.Report.FromString(segment).answers
    return max(0, min(int(answer.observed_at.seconds), (1 << 32) - 1))
