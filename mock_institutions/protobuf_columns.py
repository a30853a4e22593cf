"""Reads the inquiries of a protobuf batch as columns, without an object for each.

It knows one shape, that of nearly every batch: each inquiry names a resident, its fields stand in the contract's order,
and nothing is longer than it should be. Each is found by the bytes that open its number, and numpy reads what stands
before and behind them. The shape is not guessed but proved: an inquiry must begin where the one before it ended, and
the last must end where the body does. Anything else is `None` here, and is left to the protobuf library.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

INQUIRIES = 0x2A
"""The tag of InquiryBatch.inquiries."""

_ATTEMPT = 0x18  # tag of InquiryBatch.attempt
_ITEM, _MANDATE, _NAME = 0x08, 0x10, 0x2A  # tags of an Inquiry's fields
_SIGNATURE = (0x18, 0x01, 0x22, 0x12)  # subject_type is RESIDENT_ID; a number of 18 bytes
_NAME_AT = len(_SIGNATURE) + 18 + 2  # bytes from the signature to the name, behind its tag and its length
_MORE = 0x80  # set in every byte of a varint but the last
_TOO_LARGE = 1 << 14  # what does not fit into two bytes

Places = NDArray[np.int64]


class Residents(NamedTuple):
    """Inquiries about residents, as columns."""

    items: list[int]
    mandates: list[int]
    numbers: list[str]
    names: list[str]


def head_size(body: bytes) -> int | None:
    """Bytes before the first inquiry; None if there is none, or something before it is unusually long."""
    place = 0
    while place + 2 < len(body):
        tag, value, high = body[place : place + 3]
        if tag == INQUIRIES:
            return place
        place += 2
        if value & _MORE:
            if high & _MORE:
                return None
            value += (high << 7) - _MORE
            place += 1
        # An attempt is a number; all else that comes here is so many bytes.
        place += 0 if tag == _ATTEMPT else value
    return None


def read_residents(body: bytes, start: int) -> Residents | None:
    """All inquiries, from byte `start` to the end of `body`; None if they are not all of the one shape."""
    data = np.frombuffer(body, np.uint8, offset=start)
    signed = _signed(data)
    if not signed.size or signed[-1] + _NAME_AT > data.size:
        return None
    names = signed + _NAME_AT
    ends = names + data[names - 1]
    starts = np.append(0, ends[:-1])
    if ends[-1] != data.size or (starts + 2 > signed).any():
        return None
    # A length in two bytes would have its top bit set, and fit with nothing.
    whole = (data[starts] == INQUIRIES) & (data[starts + 1] == ends - starts - 2) & (data[names - 2] == _NAME)
    whole &= data[starts + 1] < _MORE
    items, place = _varint_field(data, starts + 2, _ITEM)
    mandates, place = _varint_field(data, place, _MANDATE)
    whole &= (place == signed) & (items < _TOO_LARGE) & (mandates < _TOO_LARGE)
    if not whole.all():
        return None
    try:
        return Residents(items.tolist(), mandates.tolist(), _numbers(data, signed), _texts(data, names, ends))
    except UnicodeDecodeError:
        return None


def _signed(data: NDArray[np.uint8]) -> Places:
    """Where the signature stands."""
    size = max(0, data.size - len(_SIGNATURE))
    found = data[:size] == _SIGNATURE[0]
    for place, byte in enumerate(_SIGNATURE[1:], 1):
        found &= data[place : place + size] == byte
    return np.flatnonzero(found)


def _varint_field(data: NDArray[np.uint8], place: Places, tag: int) -> tuple[Places, Places]:
    """A number, 0 where the field is left out, and the place behind it. `_TOO_LARGE` or more in more than two bytes."""
    there = data[place] == tag
    low, high = data[place + 1].astype(np.int64), data[place + 2].astype(np.int64)
    longer = low >= _MORE
    value = np.where(longer, low - _MORE + (high << 7), low)
    return value * there, place + there * (2 + longer)


def _numbers(data: NDArray[np.uint8], signed: Places) -> list[str]:
    text = _windows(data, signed + len(_SIGNATURE), 18).tobytes().decode("ascii")
    return [text[start : start + 18] for start in range(0, len(text), 18)]


def _texts(data: NDArray[np.uint8], starts: Places, ends: Places) -> list[str]:
    """The texts between these places. Raises UnicodeDecodeError."""
    lengths = ends - starts
    longest = int(lengths.max(initial=0))
    padded = np.append(data, np.zeros(longest, np.uint8))
    characters = _windows(padded, starts, longest).view(np.uint8).reshape(-1, longest)
    within = np.arange(longest) < lengths[:, None]
    text = characters[within].tobytes().decode()
    opening = ((characters & 0xC0) != 0x80) & within  # no continuation of a character in UTF-8
    if not opening[:, :1].all():
        raise UnicodeDecodeError("utf-8", b"", 0, 0, "a text begins within a character")
    stops = opening.sum(axis=1).cumsum().tolist()
    return [text[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def _windows(data: NDArray[np.uint8], starts: Places, size: int) -> NDArray[np.void]:
    """So many bytes from each place on, copied as one element: ten times faster than byte by byte."""
    windows: NDArray[np.void] = np.ndarray((data.size - size + 1,), f"V{size}", data, strides=(1,))
    return windows[starts]
