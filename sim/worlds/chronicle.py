"""What happened to every VM, host, volume and Job, as the commits of a store tell it: the same reader for every world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ave.jobs.timetable import TIMETABLE
from ave.model.host import Host
from ave.model.vm import VM, VMState
from ave.model.volume import Volume
from ave.model.work import LEAD, Work

GONE = "gone"
BY_THE_CLOCK = frozenset(entry.operation for entry in TIMETABLE)
_NOWHERE = (VMState.CREATING, VMState.STOPPED, VMState.DELETING)

Change = tuple[str, str, Any]  # kind, id and document of a commit


class Moment(msgspec.Struct, frozen=True):
    """``at``: seconds since the story began. ``what``: "vm web-1", "job vm.start 2"; ``state``: "running on host-1"."""

    at: float
    what: str
    state: str


def _vm(vm: VM) -> str:
    return vm.state if vm.state in _NOWHERE else f"{vm.state} on {vm.host}"


def _host(host: Host) -> str:
    return host.state


def _volume(volume: Volume) -> str:
    return f"{volume.state} with {volume.size_gib} GiB"


def _job(work: Work) -> str:
    return work.state


KINDS: dict[str, Callable[[Any], str]] = {"vm": _vm, "host": _host, "volume": _volume, "work": _job}
STANDING: dict[str, type[Any]] = {"vm": VM, "host": Host, "volume": Volume}  # which there may be when a story begins
TYPES = (*STANDING.values(), Work)  # which must be watched for it


class Chronicle:
    """What is told before the story begins is where it begins; Jobs of that time are not followed, nor those that come by the
    clock. Of Jobs with one operation the first to be submitted is number 1: their ids are drawn by chance."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self._states: dict[str, str] = {}
        self._jobs: dict[str, str] = {}  # id -> "job vm.start 2", or "" for one that is not followed
        self._numbers = Counter[str]()

    def apply(self, changes: Iterable[Change], at: float) -> None:
        """``at``: seconds since the story began, negative before that."""
        for kind, id, doc in changes:
            if kind in KINDS and (what := self._what(kind, id, doc, at)):
                self._note(what, GONE if doc is None else KINDS[kind](doc), at)

    def starts(self) -> dict[str, int]:
        """How often each VM was started since the story began."""
        begun = [moment for moment in self.moments if moment.at > 0.0 and moment.state.startswith(VMState.STARTING)]
        return Counter(moment.what.removeprefix("vm ") for moment in begun)

    def _what(self, kind: str, id: str, doc: Any, at: float) -> str:
        if kind != "work":
            return f"{kind} {id}"
        if id not in self._jobs:
            if doc is None or doc.function != LEAD or doc.operation in BY_THE_CLOCK or at <= 0.0:
                self._jobs[id] = ""
            else:
                self._numbers[doc.operation] += 1
                self._jobs[id] = f"job {doc.operation} {self._numbers[doc.operation]}"
        return self._jobs[id]

    def _note(self, what: str, state: str, at: float) -> None:
        if self._states.get(what) != state:
            self._states[what] = state
            self.moments.append(Moment(max(0.0, at), what, state))


def histories(moments: Iterable[Moment]) -> dict[str, list[Moment]]:
    """By what, the story's own in order; first of all where each begins, at second 0, if it was there."""
    found: dict[str, list[Moment]] = {}
    for moment in moments:
        own = found.setdefault(moment.what, [])
        if own and own[-1].at <= 0.0 and moment.at <= 0.0:
            own.pop()
        own.append(moment)
    return found
