"""What every key does: one table. Bindings, the help of a view, the footer, the palette and docs/dashboard.md are made of it.

A key that does different things in different views has a row for each; no view has two rows for one key, which a test holds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS

# Views, in the order of their numbers.
VIEWS = ("pulse", "vms", "hosts", "jobs", "events", "volumes", "groups", "why", "timeline")
PARTS = "parts"  # what belongs to one VM: it is reached from there alone
EVERY = (*VIEWS, PARTS)
LISTS = tuple(view for view in EVERY if view != "pulse")
THINGS = ("vms", "hosts", "jobs", "volumes", "groups")  # lists of what can be marked and acted upon

MOVE, FIND, SEE, ACT, TIME, ALL = "Move", "Find", "Look closer", "Act", "Time and faults", "The dashboard"
GROUPS = (MOVE, FIND, SEE, ACT, TIME, ALL)


class Key(NamedTuple):
    """``keys`` are Textual's names, the first is shown; ``id`` is what a keymap says. ``foot``: place in the footer, 0 is none.
    ``needs``: an extension of the API, or ``write``: not in a read-only dashboard."""

    id: str
    keys: str
    action: str
    words: str
    group: str
    views: tuple[str, ...] = EVERY
    foot: int = 0
    needs: str = ""
    short: str = ""  # the word in the footer

    @property
    def shown(self) -> str:
        return " ".join(shown(key) for key in self.keys.split(","))


KEYS: tuple[Key, ...] = (
    # Move
    Key("down", "j,down", "move(1)", "one row down", MOVE),
    Key("up", "k,up", "move(-1)", "one row up", MOVE),
    Key("page-down", "pagedown,ctrl+f", "page(1)", "one page down", MOVE),
    Key("page-up", "pageup,ctrl+b", "page(-1)", "one page up", MOVE),
    Key("first", "home", "edge(-1)", "the first row", MOVE),
    Key("last", "end", "edge(1)", "the last row", MOVE),
    Key("left", "h,left", "aside(-1)", "the column to the left; fold a Job", MOVE),
    Key("right", "l,right", "aside(1)", "the column to the right; unfold a Job", MOVE),
    Key("open", "enter", "open", "open: host › its VMs › what belongs to one", MOVE, foot=20, short="open"),
    Key("back", "escape", "out", "back: marks, filter, then one crumb", MOVE),
    Key("pane", "tab", "pane(1)", "the next pane", MOVE, views=("pulse",), foot=30, short="pane"),
    Key("pane-back", "shift+tab", "pane(-1)", "the pane before", MOVE, views=("pulse",)),
    *(
        Key(f"view-{view}", str(number), f"view('{view}')", f"the view {view}", MOVE)
        for number, view in enumerate(VIEWS, start=1)
    ),
    Key("next-view", "right_square_bracket", "turn(1)", "the next view", MOVE),
    Key("previous-view", "left_square_bracket", "turn(-1)", "the view before", MOVE),
    # Find
    Key("filter", "slash", "filter", "filter: regex, !regex, -l app=web, -f fuzzy", FIND, foot=40, short="filter"),
    Key("jump", "colon", "jump", "go to, or do: :vm web-1, :host host-3, :vm app=web", FIND, foot=50, short="go to"),
    Key("palette", "ctrl+p", "palette", "all commands, by name", FIND),
    Key("follow", "f", "follow", "follow the newest line, or hold still", FIND, views=("events",), foot=25, short="follow"),
    Key("follow-pulse", "f", "follow", "let the pulse follow the newest event, or hold still", FIND, views=("pulse",)),
    # Look closer
    Key("describe", "d", "describe", "everything about it, in words", SEE, views=LISTS, foot=60, short="describe"),
    Key("yaml", "y", "yaml", "everything about it, as YAML", SEE, views=LISTS),
    Key("why", "w", "why", "why it is there: hosts against rules", SEE, views=("vms", PARTS), foot=55, short="why"),
    Key("log", "L", "log", "its log: everything that was said of it", SEE, views=("vms", "hosts", "jobs", PARTS)),
    Key("panel", "i", "panel", "the panel at the side, or none", SEE, views=LISTS),
    Key("wide", "ctrl+w", "wide", "all columns, or those that fit", SEE, views=LISTS),
    Key("copy-cell", "c", "copy('cell')", "copy the cell (OSC 52, over SSH too)", SEE, views=LISTS),
    Key("copy-row", "C", "copy('row')", "copy the row", SEE, views=LISTS),
    Key("export", "ctrl+e", "export", "write the list as CSV and JSON", SEE, views=LISTS),
    Key("screenshot", "ctrl+s", "picture", "write the screen as SVG", SEE),
    # Act
    Key("mark", "space", "mark", "mark", ACT, views=THINGS, foot=65, short="mark"),
    Key("mark-range", "ctrl+@,ctrl+space", "mark_range", "mark from the last mark to here", ACT, views=THINGS),
    Key("mark-all", "asterisk", "mark_all", "mark all that are shown, or none", ACT, views=THINGS, foot=70, short="all"),
    Key("menu", "m", "menu", "all that can be done with it, or what is marked", ACT,
        views=(*THINGS, PARTS), foot=58, needs="write", short="menu"),
    Key("menu-all", "g", "everything", "everything that can be done in this view", ACT),
    Key("edit", "e", "act('edit')", "change it", ACT, views=("vms", "groups"), needs="write"),
    Key("delete", "ctrl+d", "act('delete')", "delete, after it was told what goes", ACT,
        views=("vms", "volumes", "groups"), needs="write"),
    Key("vm-start", "u", "act('start')", "up: start", ACT, views=("vms",), foot=72, needs="write", short="start"),
    Key("vm-stop", "x", "act('shutdown')", "shut down", ACT, views=("vms",), foot=74, needs="write", short="stop"),
    Key("vm-move", "t", "act('migrate')", "take to another host", ACT,
        views=("vms",), foot=76, needs="write", short="migrate"),
    Key("host-up", "u", "act('exit-maintenance')", "up: end maintenance", ACT,
        views=("hosts",), foot=72, needs="write", short="undrain"),
    Key("host-down", "x", "act('enter-maintenance')", "drain: move all VMs away", ACT,
        views=("hosts",), foot=74, needs="write", short="drain"),
    Key("job-stop", "x", "act('cancel')", "cancel the Job", ACT, views=("jobs",), foot=74, needs="write", short="cancel"),
    Key("group-up", "u", "act('enable')", "up: let it bind its VMs", ACT, views=("groups",), needs="write"),
    Key("group-down", "x", "act('disable')", "let it bind nobody", ACT, views=("groups",), needs="write"),
    Key("group-repair", "t", "act('repair')", "take VMs to where the rule is kept", ACT, views=("groups",), needs="write"),
    # Time and faults
    Key("pause", "p", "pause", "pause, go on", TIME, foot=80, needs="clock", short="pause"),
    Key("faster", "plus,equals_sign", "speed(1)", "faster", TIME, foot=82, needs="clock", short="speed"),
    Key("slower", "minus", "speed(-1)", "slower", TIME, needs="clock"),
    Key("step", "n", "step(1)", "one second, then pause", TIME, needs="clock"),
    Key("on", "full_stop", "step(10)", "10 seconds on", TIME, needs="clock"),
    Key("back-in-time", "comma", "seek(-10)", "10 seconds back", TIME, foot=84, needs="clock.seek", short="10 s back"),
    Key("fault-before", "less_than_sign", "to_mark(-1)", "to the fault before", TIME, needs="clock.seek"),
    Key("fault-after", "greater_than_sign", "to_mark(1)", "to the next fault", TIME, needs="clock.seek"),
    Key("now", "zero,0", "now", "to the present, or to the end of the recording", TIME, needs="clock.seek"),
    Key("fault", "exclamation_mark", "fault", "let a fault befall the cluster, or end one", TIME,
        foot=10, needs="faults", short="fault"),
    # The dashboard
    Key("refresh", "r", "refresh", "draw and sort anew", ALL),
    Key("read-only", "ctrl+r", "read_only", "read-only, or not", ALL),
    Key("theme", "ctrl+t", "theme", "the next theme", ALL),
    Key("help", "question_mark", "help", "the keys of this view", ALL),
    Key("quit", "q", "quit", "leave; nothing that was begun ends by that", ALL, foot=90, short="quit"),
)  # fmt: skip

_SHOWN: Mapping[str, str] = {
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "escape": "esc",
    "slash": "/",
    "colon": ":",
    "space": "space",
    "ctrl+@": "ctrl+space",
    "ctrl+space": "",
    "asterisk": "*",
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "full_stop": ".",
    "comma": ",",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "exclamation_mark": "!",
    "question_mark": "?",
    "zero": "",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}


def shown(key: str) -> str:
    return _SHOWN.get(key, key)


def sort_keys(letters: Mapping[str, Mapping[str, str]]) -> tuple[Key, ...]:
    """A row for each letter of each view: view -> letter -> the title of its column."""
    return tuple(
        Key(
            f"sort-{view}-{title.lower().replace(' ', '-')}",
            letter,
            f"sort('{letter}')",
            f"sort by {title}, again: the other way",
            FIND,
            (view,),
        )
        for view, columns in letters.items()
        for letter, title in columns.items()
    )


def of_view(keys: Iterable[Key], view: str) -> list[Key]:
    return [key for key in keys if view in key.views]


def bindings(keys: Sequence[Key]) -> list[Binding]:
    """For Textual: which view is on is looked at when a key is pressed."""
    return [Binding(key.keys, f"app.do('{key.id}')", key.words, id=key.id, show=False) for key in keys]


def conflicts(keys: Sequence[Key]) -> list[str]:
    """Keys that would do two things in one view, in words."""
    found: dict[tuple[str, str], str] = {}
    told: dict[str, None] = {}
    for key in keys:
        for name in key.keys.split(","):
            for view in key.views:
                other = found.setdefault((name, view), key.id)
                if other != key.id:
                    told[f"{shown(name) or name} is both {other} and {key.id}"] = None
    return list(told)


def remapped(keys: Sequence[Key], keymap: Mapping[str, str]) -> tuple[tuple[Key, ...], list[str]]:
    """With a user's keys, and what is wrong with them: an id that there is not, or a key that would do two things."""
    known = {key.id for key in keys}
    wrong = [f"keymap: there is no {id}" for id in keymap if id not in known]
    new = tuple(key._replace(keys=_named(keymap[key.id])) if key.id in keymap else key for key in keys)
    clashes = conflicts(new)
    if not clashes:
        return new, wrong
    return tuple(keys), [*wrong, *(f"keymap: {each}; the usual keys are kept" for each in clashes)]


def _named(keys: str) -> str:
    """``ctrl+x,!`` as Textual names them."""
    parts = [part.strip() for part in keys.split(",")]
    return ",".join(name_of(part) if len(part) == 1 else part for part in parts if part) or "f24"


def name_of(character: str) -> str:
    """What Textual calls the key that makes it."""
    if character.isalnum():
        return character
    name = unicodedata.name(character, "space").lower().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(name, name)


def markdown(keys: Sequence[Key]) -> str:
    """For the docs: a table for each group."""
    lines: list[str] = []
    for group in GROUPS:
        lines += [f"### {group}", "", "| key | id | what | where |", "| --- | --- | --- | --- |"]
        for key in keys:
            if key.group == group:
                where = "everywhere" if key.views == EVERY else ", ".join(key.views)
                names = " ".join(f"`{each}`" for each in key.shown.split())
                lines.append(f"| {names} | `{key.id}` | {key.words} | {where}{_needs(key.needs)} |")
        lines.append("")
    return "\n".join(lines)


def _needs(needs: str) -> str:
    return {
        "": "",
        "write": "; not read-only",
        "clock": "; of a simulation or a recording",
        "clock.seek": "; where one can go back",
        "faults": "; of a simulation",
    }[needs]
