"""The keyed hash from which all synthetic data is derived: the finaliser of SplitMix64, a bijection of 64-bit integers.

There is one function for scalars and one for numpy arrays, and a test compares them. In numpy, it costs 0.02
microseconds per inquiry; blake2b, which cannot process a batch at once, costs 0.5.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
# Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), variant 13 of David Stafford.
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def key(*parts: object) -> int:
    """A 64-bit key derived from `parts`."""
    digest = blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def mixed(value: int) -> int:
    """The hash of an integer of up to 64 bits."""
    value = (value ^ value >> 30) * _FIRST & _MASK
    value = (value ^ value >> 27) * _SECOND & _MASK
    return value ^ value >> 31


_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_FACTORS = np.uint64(_FIRST), np.uint64(_SECOND)


def mixed_all(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hashes of many integers."""
    values = values ^ values >> _SHIFTS[0]
    values *= _FACTORS[0]  # in place from here on: for a few hundred values, allocating arrays is most of the cost
    values ^= values >> _SHIFTS[1]
    values *= _FACTORS[1]
    values ^= values >> _SHIFTS[2]
    return values
