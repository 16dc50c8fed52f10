"""What stands for what: a sign is a glyph, a tone and, beside it, always the word.

Every glyph is one cell wide outside of CJK locales. In the ASCII set they are translated where they are drawn, so that
nobody else knows which set is in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Sign(NamedTuple):
    glyph: str
    tone: str  # of the glyph
    trouble: int = 0  # 0: as it should be; the larger, the sooner a person must look
    quiet: bool = True  # is the word beside it grey?

    @property
    def word(self) -> str:
        """The tone of the word."""
        return "dim" if self.quiet else self.tone


UP = Sign("●", "good")
COMING = Sign("◐", "info", 1, quiet=False)
GOING = Sign("◑", "info", 1, quiet=False)
WAITING = Sign("◌", "dim")
OFF = Sign("○", "dim")
STILL = Sign("‖", "time", quiet=False)
MOVING = Sign("↗", "info", 1, quiet=False)
DOUBT = Sign("?", "warn", 3, quiet=False)
LATE = Sign("▲", "warn", 2, quiet=False)
LOST = Sign("✕", "bad", 4, quiet=False)
DONE = Sign("✓", "good")

SIGNS: Mapping[str, Mapping[str, Sign]] = {
    "vm": {
        "creating": COMING,
        "stopped": OFF,
        "starting": COMING,
        "running": UP,
        "suspended": STILL,
        "unknown": DOUBT,
        "deleting": GOING,
    },
    "host": {
        "joining": COMING,
        "online": UP,
        "unmanaged": LATE,
        "suspect": LATE,
        "fenced": LOST,
        "recovered": LOST,
        "entering-maintenance": MOVING,
        "maintenance": STILL,
        "quarantined": LATE,
        "read-only": LATE,
    },
    "zone": {"available": UP, "lost": LOST},
    "volume": {"creating": COMING, "ready": UP, "deleting": GOING},
    "network": {"active": UP, "deleting": GOING},
    "group": {"enabled": UP, "disabled": OFF},
    "job": {
        "queued": WAITING,
        "ready": WAITING,
        "running": COMING,
        "waiting": COMING,
        "done": DONE,
        "failed": LOST,
        "cancelled": OFF,
    },
}
UNHEARD_OF = Sign("?", "warn", 3, quiet=False)


def sign(noun: str, state: str) -> Sign:
    """Of a state that a newer server may have, too."""
    return SIGNS.get("job" if noun == "task" else noun, {}).get(state, UNHEARD_OF)


MARK, FAULT, ALARM, STAR, CRUMB, BY_THE_WAY = "◆", "↯", "▲", "★", "›", "·"
FULL, REST = "━", "─"  # of a bar: they differ without any colour
CURSOR = "▌"
LEVELS: Mapping[str, Sign] = {  # of a line of the log
    "good": DONE,
    "info": Sign("·", "info"),
    "warn": Sign("▲", "warn", 2, quiet=False),
    "bad": LOST,
    "time": Sign(FAULT, "time", quiet=False),
    "you": Sign("›", "accent", quiet=False),
    "plain": Sign("·", "dim"),
}
BLOCKS = " ▁▂▃▄▅▆▇█"

_ASCII = {
    "●": "*",
    "◐": "+",
    "◑": "-",
    "◌": ".",
    "↗": ">",
    "○": "o",
    "▲": "!",
    "✕": "x",
    "✓": "=",
    "★": "@",
    "◆": "#",
    "↯": "!",
    "·": "-",
    "‖": '"',
    "▶": ">",
    "◀": "<",
    "▌": "|",
    "▐": "|",
    "›": ">",
    "‹": "<",
    "━": "=",
    "─": "-",
    "╌": "-",
    "╍": "~",
    "┄": ".",
    "═": ":",
    "│": "|",
    "├": "|",
    "└": "`",
    "▾": "v",
    "▸": ">",
    "▼": "v",
    "→": ">",
    "←": "<",
    "↑": "^",
    "↓": "v",
    "…": "~",
    "×": "x",
    "–": "-",
    "—": "-",
    "“": '"',
    "”": '"',
    "█": "#",
    "▇": "#",
    "▆": "*",
    "▅": "*",
    "▄": "+",
    "▃": "=",
    "▂": "-",
    "▁": ".",
}
TO_ASCII = str.maketrans(_ASCII)


def in_ascii(text: str) -> str:
    """What has no like in ASCII is a question mark for each cell."""
    if text.isascii():
        return text
    from tui.clean import width

    text = text.translate(TO_ASCII)
    return "".join(each if each.isascii() else "?" * width(each) for each in text)
