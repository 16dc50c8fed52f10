"""The rules of others. A module of its own, for whoever hands them on and decides nothing: it loads no arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ave.placement.filters import Filter
    from ave.placement.preferences import Preference


class Plugged(NamedTuple):
    """Filters and preferences of others, after ours: what they turn away or prefer is reported by their own names."""

    filters: tuple[Filter, ...] = ()
    preferences: tuple[Preference, ...] = ()


NONE: Final = Plugged()
