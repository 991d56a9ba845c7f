"""Lists of entries that overwrite themselves: which elements are valid, in which order.

One rule for ST-26, ST-63/64 and ST-74/76 (C12.19 list status): N is the length
of the array, and the newest element is given.  With ORDER 0 an older entry is
one element down, with ORDER 1 one up, and both wrap.
"""

from __future__ import annotations

from collections.abc import Iterator


def newest_first(length: int, valid: int, last: int, order: int) -> Iterator[int]:
    """Give the elements of the valid entries, the newest first; none for a pointer outside.

    >>> list(newest_first(4, 3, 0, 0)), list(newest_first(4, 3, 1, 1))
    ([0, 3, 2], [1, 2, 3])
    """
    if not 0 <= last < length:
        return
    step = 1 if order else -1
    for k in range(min(valid, length)):
        yield (last + step * k) % length


def unwrapped(newest: int, low: int) -> int:
    """Give the whole sequence number of an entry that holds only its low 16 bits.

    ``newest`` is the whole number of an entry at least as new.

    >>> unwrapped(0x1_0001, 0xFFFF)
    65535
    """
    behind = (newest - low) % (1 << 16)
    return newest - behind if behind <= newest else low
