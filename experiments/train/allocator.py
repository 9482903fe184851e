"""Keep freed memory in the process, so that a step does not fault it in again.

XLA:CPU allocates its temporaries anew at every step. glibc gives blocks that large
back to the kernel when they are freed, and the kernel zeroes them page by page the
next time: a fifth of the time of a training step with a vocabulary of 10,000 words. XLA
runs on threads of its own, whose arenas hold 64 MiB each: what is larger would be taken
from the kernel all the same, so that all threads share the one arena that can grow.

What is free at the end of that arena glibc gives back from 2 GiB on, whatever is asked
of it; so most of the heap is a region with something behind it. Addresses are all that
it takes until it is used, and it is used in pages of 2 MiB where the kernel has them,
which spares a step of large arrays 1 to 2 % of its time.
"""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

# <malloc.h>, <sys/mman.h>
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
MADV_HUGEPAGE = 14
HUGE_PAGE, BEHIND = 2 << 20, 8 << 20
STRICT = "2"  # a kernel that has memory ready for every address that is given out
OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")


def keep_memory() -> bool:
    """Asks glibc to serve all sizes and threads from its heap and to keep the heap;
    whether it did. Elsewhere than on Linux with glibc nothing happens."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        mallopt = libc.mallopt
    except (OSError, AttributeError):
        return False
    asked = (
        (M_ARENA_MAX, 1),
        (M_MMAP_MAX, 0),
        (M_TRIM_THRESHOLD, 2**31 - 1),
        (M_TOP_PAD, 64 << 20),
    )
    kept = all([mallopt(*option) for option in asked])
    if kept and OVERCOMMIT.exists() and OVERCOMMIT.read_text().strip() != STRICT:
        grow_heap(libc, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    return kept


def grow_heap(libc: Any, size: int) -> None:
    """Puts a free region of so many bytes, of half as many where there are not enough
    addresses, and so on, into the heap, in huge pages, with a block behind it that
    stays."""
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    while size > BEHIND:
        if region := libc.malloc(size):
            libc.malloc(BEHIND)
            first = -(-region // HUGE_PAGE) * HUGE_PAGE
            libc.madvise(first, region + size - first, MADV_HUGEPAGE)
            libc.free(region)
            return
        size //= 2
