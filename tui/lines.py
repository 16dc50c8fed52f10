"""The one list of the dashboard: it draws the rows that are seen, of however many there are.

Cursor and marks belong to the keys of rows, not to places: whatever comes, goes or is sorted, they stay with what they were
put on. A drawn row is kept until its stamp is another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.clean import fit
from tui.columns import Laid, lay_out
from tui.drawing import UNDERLINED, segments
from tui.filters import NONE, Filter
from tui.glyphs import CURSOR, MARK, in_ascii
from tui.painted import plain_scrollbars
from tui.rows import Listing, Rows
from tui.theme import Palette

GUTTER = 2  # the cursor, the mark
KEPT_MOST = 1024  # drawn rows
SORT_SECONDS, SORT_RATIO = 0.5, 20.0  # between two looks at all rows: so long, and so many times what the last one took


class Lines(Rows, ScrollView):
    """``show`` gives it something else to list. It takes no keys: whoever owns it moves the cursor."""

    DEFAULT_CSS = """
    Lines { height: 1fr; width: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    can_focus = False

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, lines: Lines) -> None:
            super().__init__()
            self.lines = lines

        @property
        def control(self) -> Lines:
            return self.lines

    class Opened(Message):
        """The row under the cursor was clicked."""

        def __init__(self, lines: Lines) -> None:
            super().__init__()
            self.lines = lines

    class Sorted(Message):
        """A title was clicked."""

        def __init__(self, lines: Lines, title: str) -> None:
            super().__init__()
            self.lines, self.title = lines, title

    def __init__(
        self, palette: Callable[[], Palette], ascii: Callable[[], bool], *, id: str = "", titles: bool = True
    ) -> None:
        ScrollView.__init__(self, id=id or None)
        Rows.__init__(self)
        self._palette, self._ascii, self._titles = palette, ascii, titles
        self._index = 0  # where the cursor was last
        self.marked_last = ""  # the last mark
        self.column = 0  # the one that is copied
        self.wide = False
        self.live = True  # is the cursor's row shown as such?
        self.follows = False  # the cursor stays on the last row
        self._seen: Any = None
        self._due = 0.0
        self._laid: list[Laid] = []
        self._laid_for: Any = None
        self._kept: dict[str, tuple[Any, Strip]] = {}
        self._drawn: list[Any] = []
        self._second = 0

    def on_mount(self) -> None:
        if self._ascii():
            plain_scrollbars(self)

    # What is listed

    def show(
        self, listing: Listing, *, cursor: str = "", filter: Filter = NONE, sort: tuple[str, bool] | None = None
    ) -> None:
        self.listing = listing
        self.cursor, self.filter, self.sort = cursor, filter, sort or listing.order
        self._index, self.marked_last, self.column, self.total = 0, "", 0, 0
        self.marks.clear()
        self._kept.clear()
        self._texts.clear()
        self._laid_for, self.follows = None, False
        self.scroll_to(0, 0, animate=False, immediate=True, force=True)
        self.order()
        self.reveal()
        self.refresh()

    def tick(self, second: int) -> None:
        """What has changed is drawn anew; the order of rows is looked at less often the more it costs."""
        if self.listing is None or not self.display:
            return
        self._second = second
        seen = self.listing.seen()
        if seen != self._seen and monotonic() >= self._due and self._look(self.listing, self._seen):
            self.refresh()
            return
        self._refresh_changed()

    def order(self) -> None:
        """All rows: which there are, which pass the filter, and in which order."""
        if self.listing is not None:
            self._look(self.listing)

    def _look(self, listing: Listing, since: Any = None) -> bool:
        """Does a row stand elsewhere?"""
        began = monotonic()
        self._seen = listing.seen()
        if not self._arrange(listing, since):
            return False
        self._stay()
        self._drawn = []
        self._extend()
        took = monotonic() - began
        self._due = monotonic() + (max(SORT_SECONDS, took * SORT_RATIO) if took > 0.002 else 0.0)
        return True

    def _stay(self) -> None:
        """The cursor on its row; if that has gone, on the one that came into its place."""
        if self.follows and self.rows:
            self._index = len(self.rows) - 1
        elif self.cursor in self._place:
            before, self._index = self._index, self._place[self.cursor]
            if before != self._index and not self._visible(self._index):
                self.call_after_refresh(self.reveal)
            return
        else:
            self._index = max(0, min(self._index, len(self.rows) - 1))
        self.cursor = self.rows[self._index] if self.rows else ""
        self.post_message(self.Moved(self))
        if self.follows:
            self.call_after_refresh(self.reveal)

    # The cursor and the marks

    def move_to(self, index: int) -> None:
        if not self.rows:
            return
        old = self._place.get(self.cursor, -1)
        self._index = max(0, min(index, len(self.rows) - 1))
        self.cursor = self.rows[self._index]
        if old != self._index:
            self._refresh_place(old)
            self._refresh_place(self._index)
            self.reveal()
            self.post_message(self.Moved(self))

    def to_top(self) -> None:
        """Of a list in which nobody moves the first rows are what counts."""
        if self.rows and self.cursor != self.rows[0]:
            self.cursor, self._index = self.rows[0], 0
        if self.scroll_offset.y:
            self.scroll_to(y=0, animate=False, immediate=True, force=True)

    def move(self, by: int) -> None:
        self.move_to(self.index + by)

    def page(self, by: int) -> None:
        self.move(by * max(1, self._height - 1))

    def reveal(self) -> None:
        top, height = self.scroll_offset.y, self._height
        place = self.index
        if place < top or height <= 0:
            self.scroll_to(y=place, animate=False, immediate=True, force=True)
        elif place >= top + height:
            self.scroll_to(y=place - height + 1, animate=False, immediate=True, force=True)

    def toggle(self, key: str) -> None:
        if key in self.marks:
            del self.marks[key]
        elif key:
            self.marks[key] = None
        self.marked_last = key
        self._refresh_place(self._place.get(key, -1))

    def mark_to(self, key: str) -> None:
        """From the last mark to there."""
        if self.marked_last not in self._place or key not in self._place:
            self.toggle(key)
            return
        a, b = sorted((self._place[self.marked_last], self._place[key]))
        self.marks.update(dict.fromkeys(self.rows[a : b + 1]))
        self.refresh()

    def mark_all(self) -> None:
        """All that are shown; none, if all of them were."""
        if all(key in self.marks for key in self.rows):
            self.marks.clear()
        else:
            self.marks.update(dict.fromkeys(self.rows))
        self.refresh()

    def unmark(self) -> None:
        self.marks.clear()
        self.refresh()

    # Look

    def sort_by(self, title: str) -> None:
        """Again: the other way."""
        before, largest_first = self.sort
        self.sort = (title, not largest_first if before == title else False)
        self.order()
        self.reveal()
        self.refresh()

    def set_filter(self, filter: Filter) -> None:
        self.filter = filter
        self.order()
        self.reveal()
        self.refresh()

    def set_wide(self, wide: bool) -> None:
        self.wide = wide
        self.scroll_to(x=0, animate=False, immediate=True, force=True)
        self._laid_for = None
        self.refresh()

    def aside(self, by: int) -> None:
        """The column that is copied; in a wide list it is brought into sight."""
        laid = self.laid()
        if not laid:
            return
        self.column = max(0, min(self.column + by, len(laid) - 1))
        if self.wide:
            at, room = laid[self.column].at + GUTTER, self._room
            end = at + laid[self.column].width
            x = self.scroll_offset.x
            if at - GUTTER < x:
                self.scroll_to(x=max(0, at - GUTTER), animate=False, immediate=True, force=True)
            elif end > x + room:
                self.scroll_to(x=end - room, animate=False, immediate=True, force=True)
        self.refresh()

    def recolour(self) -> None:
        self._kept.clear()
        self.refresh()

    def laid(self) -> list[Laid]:
        listing = self.listing
        if listing is None:
            return []
        wanted = (
            self._room,
            id(listing),
            self.wide,
            tuple(column.title for column in listing.columns),
            self._longest,
        )
        if wanted != self._laid_for:
            self._laid = lay_out(listing.columns, self._room - GUTTER, self._longest, wide=self.wide)
            self._laid_for = wanted
            self._kept.clear()
            self._extend()
        return self._laid

    @property
    def _room(self) -> int:
        return max(0, self.scrollable_content_region.width)

    @property
    def _head(self) -> int:
        return 1 if self._titles else 0

    @property
    def _height(self) -> int:
        return max(0, self.scrollable_content_region.height - self._head)

    def _extend(self) -> None:
        """One more row than there are, for the titles scroll with nothing."""
        across = self._laid[-1].at + self._laid[-1].width + GUTTER if self.wide and self._laid else self._room
        wanted = Size(max(1, across), len(self.rows) + self._head)
        if wanted != self.virtual_size:
            self.virtual_size = wanted

    def _visible(self, place: int) -> bool:
        return self.scroll_offset.y <= place < self.scroll_offset.y + self._height

    # Drawing

    def render_line(self, y: int) -> Strip:
        listing = self.listing
        size = self.size.width
        palette = self._palette()
        if listing is None:
            return Strip.blank(size, palette.style())
        laid = self.laid()
        x = self.scroll_offset.x if self.wide else 0
        if self._titles and y == 0:
            return self._strip(self._title_segments(laid, palette)).crop_extend(x, x + size, palette.style("dim"))
        place = self.scroll_offset.y + y - self._head
        if not 0 <= place < len(self.rows):
            return Strip.blank(size, palette.style())
        key = self.rows[place]
        look = self._look_of(key)
        known = self._kept.get(key)
        if known is None or known[0] != look:
            if len(self._kept) > KEPT_MOST:
                self._kept.clear()
            back = "cursor" if look[1] else "base"
            strip = self._strip(self._row_segments(listing, key, laid, palette, back))
            strip = strip.extend_cell_length(x + size, palette.style("text", back))
            self._kept[key] = known = (look, strip)
        return known[1].crop(x, x + size)

    def _look_of(self, key: str) -> tuple[Any, ...]:
        """All on which it depends how a row is drawn."""
        listing = self.listing
        assert listing is not None
        second = self._second if any(each.column.ages for each in self._laid) else 0
        cursor = self.live and key == self.cursor
        return listing.stamp(key), cursor, key in self.marks, second, self.column if cursor else 0, self.size.width

    def _title_segments(self, laid: Sequence[Laid], palette: Palette) -> list[Segment]:
        made = [Segment(" " * GUTTER, palette.style())]
        title, largest_first = self.sort
        for place, (column, _, size) in enumerate(laid):
            sorted_by = column.title == title and column.sort is not None
            text = column.title + (("▼" if largest_first else "▲") if sorted_by else "")
            tone = "accent!" if sorted_by else "text" if place == self.column and self.column else "dim"
            made.append(Segment(fit(text, size, column.right), palette.style(tone)))
            made.append(Segment("  ", palette.style()))
        return made

    def _row_segments(
        self, listing: Listing, key: str, laid: Sequence[Laid], palette: Palette, back: str
    ) -> list[Segment]:
        row = listing.row(key)
        cursor = back == "cursor"
        made = [
            Segment(CURSOR if cursor else " ", palette.style("accent", back)),
            Segment(MARK if key in self.marks else " ", palette.style("time", back)),
        ]
        if row is None:
            return [*made, Segment("gone", palette.style("faint", back))]
        for place, (column, _, size) in enumerate(laid):
            drawn = segments(column.cell(row), size, column.right, palette, back, strong=cursor and column.name)
            if cursor and place == self.column and place:
                drawn = [Segment(each.text, (each.style or Style()) + UNDERLINED) for each in drawn]
            made += drawn
            made.append(Segment("  ", palette.style("text", back)))
        return made

    def _strip(self, made: Sequence[Segment]) -> Strip:
        if self._ascii():
            made = [Segment(in_ascii(each.text), each.style) for each in made]
        return Strip(made)

    def _refresh_changed(self) -> None:
        """Of the rows that are seen, those that would be drawn otherwise now."""
        top = self.scroll_offset.y
        seen = self.rows[top : top + self._height]
        now = [self._look_of(key) for key in seen]
        if len(now) != len(self._drawn):
            self._drawn = now
            self.refresh()
            return
        for y, (before, after) in enumerate(zip(self._drawn, now, strict=True)):
            if before != after:
                self._refresh_place(top + y)
        self._drawn = now

    def _refresh_place(self, place: int) -> None:
        y = place - self.scroll_offset.y + self._head
        if place >= 0 and self._head <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # The mouse

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if self._titles and event.y == 0:
            x = event.x + self.scroll_offset.x - GUTTER
            for column, at, size in self.laid():
                if at <= x < at + size and column.sort is not None:
                    self.post_message(self.Sorted(self, column.title))
            return
        place = self.scroll_offset.y + event.y - self._head
        if not 0 <= place < len(self.rows):
            return
        again = self.rows[place] == self.cursor
        self.move_to(place)
        if again or event.chain > 1:
            self.post_message(self.Opened(self))

    def on_resize(self, event: events.Resize) -> None:
        self._laid_for = None
        self._kept.clear()
        self.laid()
        self._extend()
        self.call_after_refresh(self.reveal)

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        self._drawn = []
        self.refresh()
