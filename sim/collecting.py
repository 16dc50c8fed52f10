"""When Python looks for cycles. There are hardly any here, and many objects: a look takes longer than what it interrupts."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, kept: bool = False) -> Iterator[None]:
    """While many documents are made, or a world runs. What nobody refers to any more goes all the same, but for cycles.

    ``kept``: what was made stays for a while, and is looked through no later either.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            if kept:
                gc.freeze()
            gc.enable()
