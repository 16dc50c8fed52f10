"""What is typed behind ``:``: places to go to, and things to do; each with what it would do, as one types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ave.cli.remote.failures import Usage, meant
from tui import deeds
from tui.keys import VIEWS
from tui.views.base import Place
from tui.views.events import place_of

if TYPE_CHECKING:
    from tui.app import Dashboard

MOST = 8
LOOKED_AT = 20_000  # names, for one suggestion

_VIEW_OF: Mapping[str, str] = {
    **{view: view for view in VIEWS},
    "vm": "vms",
    "host": "hosts",
    "job": "jobs",
    "event": "events",
    "volume": "volumes",
    "disk": "volumes",
    "storage": "volumes",
    "group": "groups",
    "zone": "hosts",
}
_NOUNS = ("vm", "host", "job", "volume", "group", "zone")
_SAID: Mapping[str, str] = {
    "q": "leave",
    "help": "the keys of this view",
    "pause": "let the simulated time stand still, or go on",
    "speed": "simulated seconds per second, or max: speed 60",
    "at": "to a moment of the run: at 120, at 00:02:00, at live",
    "fault": "let a fault befall the simulated cluster",
    "theme": "another look: theme ave-light",
    "history": "the commands that do what was done here",
    "export": "write this list as CSV and JSON",
    "read-only": "read-only, or not",
    "create": "make a VM: create vm web-9 cpus=2 memory=4GiB",
}


class Suggestion(NamedTuple):
    text: str  # the whole line
    effect: str


def suggestions(board: Dashboard, line: str) -> list[Suggestion]:
    """At most eight, the likeliest first."""
    words = line.lower().split()
    if not words:
        return [Suggestion(view, _count(board, view)) for view in VIEWS[:MOST]]
    found = list(islice(_matching(board, words, line), 400))
    found.sort(key=lambda each: (not each.text.lower().startswith(line.lower().strip()), len(each.text)))
    return found[:MOST]


def _matching(board: Dashboard, words: list[str], line: str) -> Iterator[Suggestion]:
    for each in _candidates(board, words, line):
        text = each.text.lower()
        if all(word in text for word in words):
            yield each


def _candidates(board: Dashboard, words: list[str], line: str) -> Iterator[Suggestion]:
    for view in VIEWS:
        yield Suggestion(view, _count(board, view))
    for word, effect in _SAID.items():
        yield Suggestion(word, effect)
    for name in board.available_themes:
        yield Suggestion(f"theme {name}", "colours")
    docs = board.model.docs
    last = words[-1]
    for noun in _NOUNS:
        if len(words) > 1 and words[0] not in (noun, f"{noun}s", "why") and deeds.find(noun, words[0]) is None:
            continue
        for id in islice(docs[noun], LOOKED_AT):
            if last not in id.lower() and not noun.startswith(last):
                continue
            yield Suggestion(f"{noun} {id}", _state(board, noun, id))
            if noun == "vm":
                yield Suggestion(f"why {id}", "every host against every rule")
            for deed in deeds.of_noun(noun):
                if words[0] == deed.verb:
                    yield Suggestion(f"{deed.verb} {id}", deed.phrase)
    if words[0] in ("vm", "vms"):
        labels: dict[str, None] = {}
        for vm in islice(docs["vm"].values(), LOOKED_AT):
            labels.update((f"{key}={value}", None) for key, value in vm["labels"].items())
        for label in labels:
            yield Suggestion(f"vm {label}", "VMs with this label")
    for deed in deeds.DEEDS:
        yield Suggestion(deed.verb, deed.phrase)


def _count(board: Dashboard, view: str) -> str:
    noun = {"vms": "vm", "hosts": "host", "jobs": "job", "volumes": "volume", "groups": "group"}.get(view)
    if noun is None:
        return {
            "pulse": "all of it on one screen",
            "events": "what has happened",
            "why": "hosts against rules",
            "timeline": "hosts and faults, by time",
        }[view]
    return f"{len(board.model.docs[noun]):,} {view}"


def _state(board: Dashboard, noun: str, id: str) -> str:
    doc = board.model.docs[noun].get(id)
    return str(doc.get("state", "")) if doc is not None else ""


def act(board: Dashboard, line: str) -> Callable[[], None]:
    """What the line says to do. Raises Usage."""
    words = line.split()
    if not words:
        return lambda: None
    word, rest = words[0].lower(), words[1:]
    simple: Mapping[str, Callable[[], None]] = {
        "q": board.exit,
        "quit": board.exit,
        "help": board.action_help,
        "pause": board.action_pause,
        "history": board.action_history,
        "export": board.action_export,
        "read-only": board.action_read_only,
        "fault": board.action_fault,
    }
    if word in simple:
        return simple[word]
    if word in ("speed", "at", "theme") and len(rest) != 1:
        raise Usage(f"{word} what?", _SAID[word])
    if word == "speed":
        return lambda: board.set_speed(rest[0])
    if word == "at":
        return lambda: board.seek_said(rest[0])
    if word == "theme":
        if rest[0] not in board.available_themes:
            raise Usage(f"there is no theme {rest[0]}", meant(rest[0], board.available_themes))
        return lambda: board.set_theme(rest[0])
    if word == "why" and rest:
        return lambda: board.go(Place("why", (("vm", _known(board, "vm", rest[0])),), f"why {rest[0]}"))
    if word in _VIEW_OF:
        return _to(board, word, rest)
    if word == "create" and rest[:1] == ["vm"] and len(rest) > 1:
        return lambda: board.create(rest[1], " ".join(rest[2:]))
    found = [deed for deed in deeds.DEEDS if deed.verb == word]
    if found and rest:
        deed = next((each for each in found if rest[0] in board.model.docs[each.noun]), found[0])
        ids = [_known(board, deed.noun, id) for id in rest if "=" not in id]
        said = " ".join(each for each in rest if "=" in each)
        return lambda: board.perform(deed, ids, said)
    if found:
        raise Usage(f"{word} what?", f"as {word} {next(iter(board.model.docs[found[0].noun]), 'NAME')}")
    known = [*_VIEW_OF, *_SAID, *(deed.verb for deed in deeds.DEEDS)]
    raise Usage(f"{word[:60]} is nothing that there is", meant(word, known) or "? shows the keys, : the places")


def _to(board: Dashboard, word: str, rest: list[str]) -> Callable[[], None]:
    view = _VIEW_OF[word]
    if not rest:
        return lambda: board.go_to_view(view)
    noun = word.removesuffix("s") if word not in ("storage", "disk") else "volume"
    said = rest[0]
    if "=" in said:
        return lambda: board.go(Place(view, (("label", said),), said))
    id = _known(board, noun, said)
    place = place_of(noun, id)
    return (lambda: board.go(place)) if place is not None else (lambda: board.go_to_view(view))


def _known(board: Dashboard, noun: str, id: str) -> str:
    docs = board.model.docs.get(noun, {})
    if id in docs:
        return id
    close = [each for each in islice(docs, LOOKED_AT) if id in each]
    if len(close) == 1:
        return close[0]
    raise Usage(f"there is no {noun} {id[:60]}", meant(id, islice(docs, LOOKED_AT)))
