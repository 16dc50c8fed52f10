"""Placement filters and preferences that other packages bring, by entry point.

    [project.entry-points."ave.placement.filters"]
    licences = "acme_ave:LICENCES"          # an ave.placement.filters.Filter
    [project.entry-points."ave.placement.preferences"]
    cool_rack = "acme_ave:COOL_RACK"        # an ave.placement.preferences.Preference

They are asked after AVE's own, in the order of their names, by every process that decides, ``ave plan place`` and ``ave explain
placement --snapshot`` too: install them on every host, and wherever placements are asked about.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from ave.errors import Refused
from ave.placement.filters import FILTERS, Filter
from ave.placement.place import TARGET
from ave.placement.plugged import Plugged
from ave.placement.preferences import PREFERENCES, Preference

T = TypeVar("T", Filter, Preference)

FILTERS_GROUP = "ave.placement.filters"
PREFERENCES_GROUP = "ave.placement.preferences"


def plugged() -> Plugged:
    """All that are installed. Refused, naming package and entry point, if one is not what it should be."""
    taken = {TARGET: "AVE", **{rule.name: "AVE" for rule in (*FILTERS, *PREFERENCES)}}
    return Plugged(
        tuple(_loaded(entry, Filter, taken) for entry in _entries(FILTERS_GROUP)),
        tuple(_loaded(entry, Preference, taken) for entry in _entries(PREFERENCES_GROUP)),
    )


def _entries(group: str) -> list[EntryPoint]:
    return sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value))


def _loaded(entry: EntryPoint, wanted: type[T], taken: dict[str, str]) -> T:
    package = entry.dist.name if entry.dist is not None else "an unknown package"
    where = f"entry point {entry.name} = {entry.value!r} of {package}"
    try:
        rule: Any = entry.load()
    except Exception as error:
        raise Refused(f"{where} cannot be loaded: {type(error).__name__}: {error}. Mend or remove {package}") from error
    if not isinstance(rule, wanted):
        raise Refused(f"{where} is a {type(rule).__name__}: it must be a {wanted.__module__}.{wanted.__name__}")
    if getattr(rule, "steady", False):
        raise Refused(f"{where}: a filter of others cannot be steady, its answers are not kept")
    if rule.name in taken:
        raise Refused(f"{where} calls itself {rule.name}, as one of {taken[rule.name]} does already")
    taken[rule.name] = package
    return rule
