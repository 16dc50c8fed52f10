"""When Python looks for cycles. There are hardly any here, and many objects: a look takes longer than what it interrupts."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

LARGE_BYTES = 1 << 20


@contextmanager
def uncollected(size: int = 0) -> Iterator[None]:
    """While many documents, or what they are sorted by, are made. ``size``: of the text that they are read from; those of a
    large one are never looked through, for they go when nobody refers to them any more, as nearly all things do."""
    collects, large = gc.isenabled(), size >= LARGE_BYTES
    if collects and large:
        gc.collect(1)  # else what is garbage now would be kept with them
    gc.disable()
    try:
        yield
    finally:
        if collects:
            if large:
                gc.freeze()
            gc.enable()
