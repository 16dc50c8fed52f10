"""Keys typed ahead: each is dealt with before the next one is given to anybody.

Textual gives a key to whoever has the keys when it comes, and what a key does comes only after it has passed from there to the
application. So of ``/x`` typed at once, or come at once over a slow line, the ``x`` would not be the first letter of a filter:
it would shut down the VM under the cursor.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.timer import Timer

#: So often a message follows a key from whoever has the keys up to the application. Behind the first, the key has done what it
#: does; behind the second, what that brought has too: a line was taken, a screen that was opened can be typed into.
FOLLOWED_TIMES = 2
WAITING_MOST = 256  # of keys; what more is typed is lost
SECONDS_MOST = 1.0  # for one key; the next is given then in any case


class KeyQueue(App[int]):
    """A part of the dashboard."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead: deque[events.Key | events.Paste] = deque()  # the first is being dealt with
        self._given = 0  # how many were
        self._late: Timer | None = None  # goes off when the one that was given has had its time

    @property
    def typed_ahead(self) -> int:
        return len(self._ahead)

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
        elif len(self._ahead) < WAITING_MOST:
            self._ahead.append(event)
            if len(self._ahead) == 1:
                await self._give()
        else:
            self.bell()

    async def _give(self) -> None:
        self._given += 1
        self._late = self.set_timer(SECONDS_MOST, partial(self._dealt_with, self._given))
        await super().on_event(self._ahead[0])
        self._follow(self._given, self.focused or self.screen, FOLLOWED_TIMES)

    def _follow(self, key: int, node: DOMNode, times: int) -> None:
        if not node.call_later(self._passed, key, node, times):
            self.call_later(self._passed, key, self, times)  # it is gone, and what it had to pass on was passed on

    def _passed(self, key: int, node: DOMNode, times: int) -> None:
        if node is not self:
            self._follow(key, node.parent or self, times)
        elif times > 1:
            self._follow(key, self.focused or self.screen, times - 1)
        else:
            self._dealt_with(key)

    def _dealt_with(self, key: int) -> None:
        if key == self._given and self._ahead:
            if self._late is not None:
                self._late.stop()
            self._ahead.popleft()
            if self._ahead:
                self.call_next(self._give)
