"""What a write makes of the document it meets, or Conflict: one meaning for every store that decides by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ave.ports.store import Change, Check, Conflict, Delete, Insert, Replace, Write
from drivers.query import holds

_replace = msgspec.structs.replace
_BY_ID = (Change, Check)


def target(write: Write) -> tuple[type[Any], str]:
    """The type and the id of the document that the write is about."""
    return (write.type, write.id) if isinstance(write, _BY_ID) else (type(write.doc), write.doc.id)


def outcome(write: Write, old: Any, kind: str, now: float) -> Any:
    """What the write makes of the document ``old`` (None: absent) at store time ``now``, or Conflict."""
    return _OUTCOMES[type(write)](write, old, kind, now)


def changed(old: Any, change: Change, now: float) -> Any:
    """The next version of the document. What lies beside a changed path is shared, not copied."""
    flat = {**change.set, **_stamped(change.stamp, now)} if change.stamp else dict(change.set)
    for path, by in change.add.items():
        flat[path] = (_at(old, path) if "." in path else getattr(old, path)) + by
    flat["version"] = old.version + 1
    for path in flat:
        if "." in path:
            break
    else:
        return _replace(old, **flat)
    for path, value in flat.items():
        old = _with(old, path.split("."), value)
    return old


def _inserted(write: Insert, old: Any, kind: str, now: float) -> Any:
    if old is not None:
        raise Conflict(kind, write.doc.id, old)
    return _replace(write.doc, version=1, **_stamped(write.stamp, now))


def _replaced(write: Replace, old: Any, kind: str, now: float) -> Any:
    doc = write.doc
    if old is None or old.version != doc.version:
        raise Conflict(kind, doc.id, old)
    return _replace(doc, version=doc.version + 1, **_stamped(write.stamp, now))


def _deleted(write: Delete, old: Any, kind: str, now: float) -> Any:
    if old is None or old.version != write.doc.version:
        raise Conflict(kind, write.doc.id, old)
    return None


def _altered(write: Change, old: Any, kind: str, now: float) -> Any:
    if old is None or not holds(old, write.where):
        raise Conflict(kind, write.id, old)
    return changed(old, write, now)


def _checked(write: Check, old: Any, kind: str, now: float) -> Any:
    if (old is not None) if write.where is None else (old is None or not holds(old, write.where)):
        raise Conflict(kind, write.id, old)
    return old


_OUTCOMES: dict[type[Any], Callable[[Any, Any, str, float], Any]] = {
    Insert: _inserted,
    Replace: _replaced,
    Delete: _deleted,
    Change: _altered,
    Check: _checked,
}


def _stamped(stamp: Mapping[str, float], now: float) -> dict[str, float]:
    return {field: now + plus for field, plus in stamp.items()} if stamp else {}


def _at(thing: Any, path: str) -> Any:
    for name in path.split("."):
        thing = thing[name] if isinstance(thing, dict) else getattr(thing, name)
    return thing


def _with(thing: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    if isinstance(thing, dict):
        return {**thing, name: _with(thing[name], rest, value) if rest else value}
    return _replace(thing, **{name: _with(getattr(thing, name), rest, value) if rest else value})
