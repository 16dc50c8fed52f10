"""Every structure is made ready to be decoded before there is a second thread.

msgspec finds out how a Struct is decoded when that is first done. Two threads that do so at the same time for the same Struct
can crash the whole process (a null pointer in its core; 0.22): one uses what the other has not finished. A node that has just
been started does exactly that, with its hosts' files in threads and the store's documents in the loop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec

_ready: dict[type[Any], None] = {}
_lock = threading.Lock()


def make_ready() -> int:
    """All that are defined by now; answers how many were new. Quick when there is nothing to do."""
    with _lock:
        new = [struct for struct in _structs(msgspec.Struct) if struct not in _ready]
        for struct in new:
            try:
                msgspec.json.Decoder(struct)
            except (TypeError, NameError):
                pass  # one that is never decoded: it holds what no document can, or what is named for the type checker only
            _ready[struct] = None
        return len(new)


def _structs(base: type[Any]) -> Iterator[type[Any]]:
    for struct in base.__subclasses__():
        yield struct
        yield from _structs(struct)
