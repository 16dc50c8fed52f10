"""The palette."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

if TYPE_CHECKING:
    from tui.app import Dashboard


class Commands(Provider):
    """The palette: the keys of this view, all views and what ``:`` knows."""

    def _entries(self) -> Iterator[tuple[str, str, Callable[[], Any]]]:
        board = cast("Dashboard", self.app)
        for key in board.usable():
            if key.id not in ("palette",):
                yield key.words, key.shown, partial(board.run_action, key.action)
        for name in board.available_themes:
            yield f"theme {name}", "colours", partial(board.set_theme, name)
        yield "history: the commands that do what was done here", ":history", board.action_history

    async def discover(self) -> Hits:
        for words, key, deed in self._entries():
            yield DiscoveryHit(words, deed, help=key)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for words, key, deed in self._entries():
            if (score := matcher.match(words)) > 0:
                yield Hit(score, matcher.highlight(words), deed, help=key)
