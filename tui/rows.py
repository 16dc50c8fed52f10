"""Which rows of a listing there are, in which order, and what is marked: by key, never by place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tui.clean import clean
from tui.collecting import uncollected
from tui.columns import Column, Row
from tui.drawing import spans
from tui.filters import NONE, Filter


class Listing(Protocol):
    """What a list shows. It is asked again and again, and must be quick."""

    noun: str  # what its rows are; "" if nothing can be done with them
    columns: Sequence[Column]
    order: tuple[
        str, bool
    ]  # by which title it is sorted at first, and whether the largest comes first; ("", …): as it is

    def seen(self) -> Any:
        """Another value as soon as there may be other rows, or another order of them."""
        ...

    def news(self, since: Any) -> Sequence[str] | None:
        """Which rows are other ones than when ``seen`` was that, none having come or gone; None: it cannot tell."""
        ...

    def keys(self) -> Sequence[str]:
        """In the order of names, if there is a column NAME."""
        ...

    def row(self, key: str) -> Row | None: ...
    def stamp(self, key: str) -> Any: ...
    def text(self, key: str) -> str:
        """What a filter looks at, in lower case."""
        ...

    def labels(self, key: str) -> Mapping[str, str]: ...


class Rows:
    """A part of a list, which has to be told when to look again."""

    def __init__(self) -> None:
        self.listing: Listing | None = None
        self.rows: list[str] = []  # keys, in the order in which they stand
        self.total = 0  # before the filter
        self.cursor = ""
        self.marks: dict[str, None] = {}
        self.filter: Filter = NONE
        self.sort: tuple[str, bool] = ("", False)
        self._place: dict[str, int] = {}
        self._orders: dict[str, Any] = {}  # of the rows that are shown: by what they are sorted
        self._texts: dict[str, tuple[Any, str]] = {}
        self._longest = 8  # name, in steps: a list whose columns move with every row that comes is not one to read

    def _arrange(self, listing: Listing, since: Any = None) -> bool:
        """Which rows there are, which pass the filter, and in which order. Does one stand elsewhere than before?

        ``since`` is what was ``seen`` the last time, if all else is as it was then: a list of many thousands is then looked at
        only where it has changed.
        """
        news = listing.news(since) if since is not None else None
        by = self._by(listing)
        keys = listing.keys()
        if news is not None:
            if not self._moved(news, by):
                return False
            keys = [key for key in keys if key in self._orders]
        else:
            self.total = len(keys)
            if self.filter.passes is not NONE.passes:
                keys = [key for key in keys if self._passes(key)]
            with uncollected():
                self._orders = {key: by(row) for key in keys if (row := listing.row(key)) is not None}
        if by is not _as_it_is:
            # Stable, so that what is alike stands in the order of names, whichever way it is sorted.
            known = (key for key in keys if key in self._orders)
            keys = sorted(known, key=self._orders.__getitem__, reverse=self.sort[1])
        elif self.sort[1]:
            keys = list(reversed(keys))
        self.rows = list(keys)
        self._place = {key: place for place, key in enumerate(self.rows)}
        self._longest = (max(map(len, self.rows), default=8) + 3) // 4 * 4
        if self.marks:
            self.marks = {key: None for key in self.marks if listing.row(key) is not None}
        return True

    def _by(self, listing: Listing) -> Callable[[Row], Any]:
        title, largest_first = self.sort
        by = next((column.sort for column in listing.columns if column.title == title), None)
        return _as_it_is if by is None or (title == "NAME" and not largest_first) else by  # names stand so already

    def _moved(self, news: Sequence[str], by: Callable[[Row], Any]) -> bool:
        """Has one of these come before the eyes, left them, or another place in the order?"""
        listing = self.listing
        assert listing is not None
        moved, filtered = False, self.filter.passes is not NONE.passes
        for key in news:
            row = listing.row(key)
            if row is None or (filtered and not self._passes(key)):
                moved |= self._orders.pop(key, None) is not None
                continue
            order = by(row)
            if key not in self._orders or self._orders[key] != order:
                self._orders[key], moved = order, True
        return moved

    def _passes(self, key: str) -> bool:
        listing = self.listing
        assert listing is not None
        return self.filter.passes(lambda: self._text(key), lambda: listing.labels(key))

    def _text(self, key: str) -> str:
        assert self.listing is not None
        stamp = self.listing.stamp(key)
        known = self._texts.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        text = self.listing.text(key)
        self._texts[key] = (stamp, text)
        return text

    @property
    def current(self) -> Row | None:
        return self.listing.row(self.cursor) if self.listing is not None and self.cursor else None

    @property
    def index(self) -> int:
        return self._place.get(self.cursor, 0)

    def chosen(self) -> list[str]:
        """The marked rows in the order in which they stand; else the one under the cursor."""
        if self.marks:
            return sorted(self.marks, key=lambda key: self._place.get(key, len(self._place)))
        return [self.cursor] if self.cursor else []

    def cells(self, key: str) -> list[str]:
        """The row as texts, one for each column of the listing, as it is shown."""
        if self.listing is None or (row := self.listing.row(key)) is None:
            return []
        return ["".join(clean(text) for text, _ in spans(column.cell(row))).strip() for column in self.listing.columns]


def _as_it_is(_row: Row) -> int:
    return 0
