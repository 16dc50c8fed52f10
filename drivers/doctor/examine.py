"""All checks of one host, side by side, so that whatever hangs is waited for once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ave.errors import Refused
from drivers.config import box_of, node_of
from drivers.config_shown import Role, role_of
from drivers.doctor.check import Check, Found, Status, Subject, failed, ok
from drivers.layers import PREFIX, Layers

PATIENCE_SECONDS = 2.0  # after which it is said what is waited for
LOOK_AGAIN_SECONDS = 0.02


class Row(msgspec.Struct, frozen=True):
    id: str
    what: str
    status: Status
    says: str
    fix: str  # the next step; "" if there is none to take


def admit(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any], role: Role | None
) -> tuple[Subject, Row]:
    """Who is looked at, and what is to be said of its configuration."""
    given = file is not None or any(flags.values())
    given = given or any(name.startswith(PREFIX) and "__" in name for name in environment)
    subject = Subject(role=role or "node", file=file, environment=environment)
    if not given:
        return subject, _of_config(Found("not asked", "none was given: what depends on it is not asked either"))
    try:
        layers = Layers(file, environment, flags)
        subject = msgspec.structs.replace(subject, role=role or role_of(layers))
        if subject.role == "storage":
            subject = msgspec.structs.replace(subject, box=box_of(layers).storage)
        else:
            subject = msgspec.structs.replace(subject, config=node_of(layers))
    except Refused as problem:
        return subject, _of_config(failed(str(problem)))
    return subject, _of_config(ok(f"{layers.source}: a {'storage box' if subject.box else 'node'}"))


def _of_config(found: Found) -> Row:
    return _row("config.valid", "the configuration can be used", found, "ave config show says where each value is from")


def _row(id: str, what: str, found: Found, fix: str) -> Row:
    return Row(id, what, found.status, found.says, (found.fix or fix) if found.status in ("failed", "warning") else "")


def examine(subject: Subject, checks: Sequence[Check], waiting: Callable[[list[str]], None]) -> list[Row]:
    """``waiting`` is told once which checks have not been answered yet, if that takes long."""
    found: dict[str, Found] = {}
    begun = time.monotonic()
    for check in checks:
        if why := check.spared(subject):
            found[check.id] = Found("not asked", why)
        else:
            threading.Thread(target=_into, args=(found, check, subject), daemon=True).start()
    told = False
    while pending := [check for check in checks if check.id not in found]:
        passed = time.monotonic() - begun
        for check in pending:
            if passed > check.seconds:
                found.setdefault(check.id, failed(f"{check.what}: no answer within {check.seconds:g} s"))
        if passed > PATIENCE_SECONDS and not told:
            told = True
            waiting([check.id for check in pending if check.id not in found])
        time.sleep(LOOK_AGAIN_SECONDS)
    return [_row(check.id, check.what, found[check.id], check.fix) for check in checks]


def _into(found: dict[str, Found], check: Check, subject: Subject) -> None:
    """What a check did not think of is a finding too: it must not hide the others."""
    try:
        answer = check.look(subject)
    except Exception as trouble:
        answer = failed(f"{check.what}: this cannot be told: {type(trouble).__name__}: {trouble}")
    found.setdefault(check.id, answer)
