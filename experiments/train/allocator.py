"""Keep freed memory in the process, so that a step does not fault it in again.

XLA:CPU allocates its temporaries anew at every step. glibc gives blocks that large
back to the kernel when they are freed, and the kernel zeroes them page by page the
next time: a fifth of the time of a training step with a vocabulary of 10,000 words. XLA
runs on threads of its own, whose arenas hold 64 MiB each: what is larger would be taken
from the kernel all the same, so that all threads share the one arena that can grow.
"""

import ctypes
import sys

# <malloc.h>
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8


def keep_memory() -> bool:
    """Asks glibc to serve all sizes and threads from its heap and to keep the heap;
    whether it did. Elsewhere than on Linux with glibc nothing happens."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    asked = (
        (M_ARENA_MAX, 1),
        (M_MMAP_MAX, 0),
        (M_TRIM_THRESHOLD, 2**31 - 1),
        (M_TOP_PAD, 64 << 20),
    )
    return all([mallopt(*option) for option in asked])
