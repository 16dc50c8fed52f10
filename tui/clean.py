"""Whatever others have named, as it may stand on a screen: one line, of characters that stay where they are put.

Everything that is drawn goes through ``clean``, in the one place that makes it visible.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

MOST = 512  # characters of one text: no line of a screen is longer, and a name of ten kilobytes costs as little
IN_PLACE_OF = "·"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS = frozenset({"Mn", "Me", "Mc"})
_SELECTORS = range(0xFE00, 0xFE10)  # they change how wide the character before them is, and terminals disagree


def clean(text: str) -> str:
    """Controls and what turns the direction of writing become a dot; of marks that pile up one is left."""
    if text.isascii() and text.isprintable() and len(text) <= MOST:
        return text
    return _cleaned(text[: MOST + 1])


@lru_cache(4096)
def _cleaned(text: str) -> str:
    made: list[str] = []
    marked = False
    for character in unicodedata.normalize("NFC", text[:MOST]):
        category = unicodedata.category(character)
        if category in _MARKS:
            if not made or marked or ord(character) in _SELECTORS:
                continue
            marked = True
            made.append(character)
            continue
        marked = False
        if category in _HIDDEN:
            made.append(IN_PLACE_OF)
        elif category == "Zs":
            made.append(" ")
        else:
            made.append(character)
    return "".join(made) + ("…" if len(text) > MOST else "")


def width(text: str) -> int:
    """In cells, of a text that is clean."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, cells: int, right: bool = False) -> str:
    """Exactly so many cells of a text that is clean; what is cut off leaves a mark."""
    if cells <= 0:
        return ""
    size = width(text)
    if size == cells:
        return text
    if size < cells:
        pad = " " * (cells - size)
        return pad + text if right else text + pad
    if text.isascii():
        return text[: cells - 1] + "…"
    return set_cell_size(text, cells - 1) + "…"
