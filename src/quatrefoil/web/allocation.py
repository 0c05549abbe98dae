"""Memory of bodies is kept for the next body.

The C library gives allocations of some 100 KiB and more back to the system one by one, and takes them anew: each copy
of a body then costs a page fault for each 4 KiB of it, several times what copying costs. A server asks for the same
sizes again and again, and keeps them.
"""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt(3), of the GNU C library."""

LARGEST = 32 << 20
"""Bytes: the most that the library lets an allocation have that is kept."""
KEPT = 256 << 20
"""Bytes that may lie free at the end of the heap."""


@cache
def keep_freed_memory() -> bool:
    """For all of this process, once. False where the C library is another: then everything is as it was."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = {_MMAP_THRESHOLD: LARGEST, _TRIM_THRESHOLD: KEPT, _TOP_PAD: LARGEST // 2}
    taken = [mallopt(parameter, value) for parameter, value in settings.items()]
    return taken == [1] * len(settings)


__all__ = ["keep_freed_memory"]
