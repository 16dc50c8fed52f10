"""Lines of the log: what the API tells of a change, and how bad it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Level = Literal["plain", "info", "good", "warn", "bad", "time"]

# By the state that a thing comes to, whatever it is.
LEVELS: Mapping[str, Level] = {
    "running": "good",
    "online": "good",
    "done": "good",
    "recovered": "info",
    "joining": "info",
    "starting": "info",
    "unknown": "bad",
    "fenced": "bad",
    "failed": "bad",
    "lost": "bad",
    "suspect": "warn",
    "unmanaged": "warn",
    "quarantined": "warn",
    "read-only": "warn",
    "cancelled": "warn",
    "entering-maintenance": "info",
    "maintenance": "info",
    "raised": "warn",
    "fault": "time",
}


class LogLine(msgspec.Struct, frozen=True):
    """``who`` is what it is about, as ``vm/web-1``, or who told it; ``what`` the state that it came to, or the event."""

    number: int  # counts from 1, those that were never told too
    at: float
    who: str
    what: str
    why: str
    level: Level

    @property
    def about(self) -> tuple[str, str]:
        """Noun and id; ("", …) if it is about no thing."""
        noun, slash, id = self.who.partition("/")
        return (noun, id) if slash else ("", self.who)


def told(number: int, line: Mapping[str, Any]) -> LogLine:
    what = str(line.get("event", ""))
    fields = dict(line.get("fields") or {})
    level = LEVELS.get(str(fields.pop("level", "")) or what, "plain")
    text = fields.pop("why", None) or ", ".join(f"{name} {value}" for name, value in fields.items() if value != "")
    return LogLine(number, float(line.get("at", 0.0)), str(line.get("who", "")), what, str(text), level)
