"""From the recording of a run: the cluster as it was just before a VM was placed, or was not, and what had been asked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from ave.errors import Refused
from ave.model.group import Group
from ave.model.host import Host, Zone
from ave.model.vm import VM
from ave.model.work import WorkState
from ave.placement.purpose import Purpose
from ave.placement.snapshot import Snapshot
from ave.scheduler.steps import PLACE, Placing
from sim.record import Line
from sim.recording import Recording

_TOLD = ("placed", "not placed")  # the scheduler's events, one for each VM
_Docs = dict[str, dict[str, dict[str, Any]]]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """As the scheduler told it. Those of one batch are told in one breath."""

    t: float
    rev: int
    vm: str
    purpose: Purpose
    host: str = ""  # where it was placed, if it was
    rejected: dict[str, int] = {}
    batch: tuple[str, ...] = ()
    before: int  # the first revision that is not part of what it was decided on


class Past(msgspec.Struct, frozen=True):
    decision: Decision
    cluster: Snapshot
    asked: Placing


def recording_of(run: Path) -> Recording:
    path = run / "events.jsonl.gz"
    if not path.is_file():
        raise Refused(f"{run} has no recording: ave sim run FILE --out {run} makes one (a capacity replay has none)")
    return Recording(path)


def decisions(recording: Recording, to: float = math.inf) -> list[Decision]:
    """All of them up to then, in order."""
    reserved: dict[str, tuple[str, int]] = {}  # VM -> the host reserved for it, and the revision that did so
    docs: dict[str, dict[str, Any]] = {}
    told: list[list[Line]] = []
    revisions: list[dict[str, int]] = []
    for line in recording.lines(to_t=to):
        if line.kind == "vm":
            host = str(line.doc.get("reserved", ""))
            if reserved.get(line.id, ("", 0))[0] != host or (host and _again(docs.get(line.id), line.doc)):
                reserved[line.id] = (host, line.rev)
            docs[line.id] = line.doc
        elif line.kind == "log" and line.doc.get("event") in _TOLD:
            if not told or not _one_breath(told[-1][-1], line):
                told.append([])
                revisions.append({})
            told[-1].append(line)
            if line.doc["event"] == "placed":
                revisions[-1][line.doc["vm"]] = reserved.get(line.doc["vm"], ("", line.rev + 1))[1]
    return [each for lines, by in zip(told, revisions, strict=True) for each in _decisions(lines, by)]


def _again(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    """Was it written once more as it was? So is a VM that a second attempt places where the first one did."""
    return old is not None and old["version"] != new["version"] and old | {"version": new["version"]} == new


def _one_breath(before: Line, line: Line) -> bool:
    """Told by one host at one moment, and of another VM."""
    return (before.t, before.rev, before.doc["who"]) == (line.t, line.rev, line.doc["who"])


def _decisions(lines: list[Line], revisions: dict[str, int]) -> list[Decision]:
    before = min(revisions.values(), default=lines[-1].rev + 1)
    return [
        Decision(
            t=line.t,
            rev=line.rev,
            vm=line.doc["vm"],
            purpose=Purpose(line.doc["purpose"]),
            host=line.doc.get("host", ""),
            rejected=line.doc["rejected"],
            batch=tuple(each.doc["vm"] for each in lines),
            before=before,
        )
        for line in lines
    ]


def last_decision(recording: Recording, vm: str, at: float | None = None) -> Decision:
    """About this VM, at or before then."""
    found = [each for each in decisions(recording, math.inf if at is None else at) if each.vm == vm]
    if not found:
        when = "" if at is None else f" up to {at:g} s"
        raise Refused(f"nothing was decided about a VM {vm}{when}; VMs that were there from the start were not placed")
    return found[-1]


def before(recording: Recording, decision: Decision) -> Past:
    docs: _Docs = recording.seek(recording.start).docs
    for line in recording.lines(recording.start, decision.t):
        if line.rev >= decision.before and line.kind != "log":
            break
        if line.kind in docs:
            docs[line.kind].pop(line.id, None)
            if not line.gone:
                docs[line.kind][line.id] = line.doc
    return Past(decision, _cluster(docs), _asked(docs, decision))


def at(recording: Recording, t: float) -> Snapshot:
    """The cluster at that moment."""
    if t < recording.start or t > recording.end:
        raise Refused(f"the recording goes from {recording.start:g} s to {recording.end:g} s; {t:g} s is not in it")
    return _cluster(recording.seek(t).docs)


def _cluster(docs: _Docs) -> Snapshot:
    for id, report in docs.get("report", {}).items():
        if report.get("down") and (host := docs["host"].get(id)) is not None:
            carrying = [name for name in host.get("networks", ()) if name not in report["down"]]
            docs["host"][id] = host | {"networks": carrying}
    kinds: dict[str, Any] = {"host": Host, "zone": Zone, "group": Group, "vm": VM}
    read = {f"{name}s": tuple(_all(docs, name, kind)) for name, kind in kinds.items()}
    return msgspec.convert(read, Snapshot)


def _all(docs: _Docs, name: str, kind: Any) -> list[Any]:
    return [msgspec.convert(doc, kind, strict=False) for _, doc in sorted(docs.get(name, {}).items())]


def _asked(docs: _Docs, decision: Decision) -> Placing:
    """The arguments of the task that was at work on it; if it is not recorded, what the scheduler told."""
    for doc in docs.get("work", {}).values():
        if doc["function"] == PLACE and doc["state"] == WorkState.RUNNING:
            asked = msgspec.convert(doc["arguments"], Placing, strict=False)
            if set(decision.batch) <= set(asked.vms):
                return asked
    return Placing(vms=tuple(sorted(decision.batch)), purpose=decision.purpose)
