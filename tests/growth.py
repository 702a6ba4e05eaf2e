"""How the work of something grows with its input, whatever else the machine does."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMES = 8
"""How much more the larger input is. Linear work grows as much, quadratic work by its square."""


def is_linear(work: Callable[[int], object], size: int) -> bool:
    """Whether the processor's time for `TIMES` as much input is nearer to linear than to quadratic, by far.

    Only this thread's own time is counted, and of a few tries the least, because other load can only add to it.

    Args:
        work: does it with an input of a size.
        size: of the smaller input.
    """

    def cost_s(size: int) -> float:
        began_s = time.thread_time()
        work(size)
        return time.thread_time() - began_s

    small, large = [], []
    for _ in range(4):
        small.append(cost_s(size))
        large.append(cost_s(size * TIMES))
        if min(large) < 3 * TIMES * min(small):
            return True
    return False
