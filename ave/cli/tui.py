"""``ave tui``: the terminal dashboard on a live, a simulated or a recorded cluster, here or in a browser."""

from __future__ import annotations

import asyncio
import gc
import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from traceback import print_exception
from typing import TYPE_CHECKING, Any

from ave.cli.remote import contexts
from ave.cli.remote.failures import Exit, Failure, Usage, complain

if TYPE_CHECKING:
    from tui.source import Api

SWITCH_SECONDS = 0.001  # a thread that writes to the terminal gets its turn from a busy world
#: Thousands of documents come and go each second, and none of them is in a cycle: looks at few, so that each is short (4 ms).
GC = (2_000, 5, 5_000)
FRAMES = "120"  # a second, at most: what a key has changed waits for the next one, beside a busy world
ADDRESS, PORT = "127.0.0.1", 8461
DRIVER = "TEXTUAL_DRIVER"
WITHIN = "http://localhost"
SPEED = 60.0  # simulated seconds per real one

_bugs: list[BaseException] = []  # of a world in this process: told when nothing is drawn any more


def tui(
    *,
    context: str = "",
    run: Path | None = None,
    read_only: bool = False,
    theme: str = "",
    ascii: bool = False,
    interval: float = 0.0,
    serve: bool = False,
    port: int = PORT,
) -> int:
    """Look at a cluster, and work on it, on the whole terminal.

    Parameters
    ----------
    context
        Which cluster, instead of AVE_CONTEXT or the current one; sim:6-host is a simulated one in this process.
    run
        A run directory, of ave sim run --out: see it again, at any moment.
    read_only
        Show all and change nothing.
    theme
        Of the colours; ctrl+p shows which there are.
    ascii
        No characters but those of ASCII.
    interval
        Seconds between two updates, for a slow line.
    serve
        Show it in a browser: on this machine alone, until Ctrl-C.
    port
        For --serve, on 127.0.0.1.
    """
    try:
        if run is not None and context:
            raise Usage("--run or --context, one of them")
        if serve:
            return _serve(context, run, read_only=read_only, theme=theme, port=port)
        source = _recorded(run) if run is not None else _of_context(context, read_only=read_only, interval=interval)
        return show(source, read_only=read_only, theme=theme, ascii=ascii)
    except Failure as failure:
        return int(complain(failure))
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)


def show(
    source: AbstractAsyncContextManager[Api], *, read_only: bool = False, theme: str = "", ascii: bool = False
) -> int:
    """The dashboard on what the source shows, until it is left. Raises Failure."""
    if not at_terminal():
        raise Usage(
            "the dashboard needs a terminal", "ave vm ls --watch writes lines; ave tui --serve shows it in a browser"
        )
    prepare()
    return asyncio.run(_show(source, read_only=read_only, theme=theme, ascii=ascii))


def at_terminal() -> bool:
    """Textual draws on stderr; or, for a browser, with the driver that textual-serve names."""
    return DRIVER in os.environ or (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty())


async def _show(source: AbstractAsyncContextManager[Api], **look: Any) -> int:
    from tui.app import Dashboard

    async with source as api:
        gc.freeze()  # a world that was just made stays: nobody needs to look through it again and again
        board = Dashboard(api, config=contexts.folder() / "tui.toml", **look)
        await board.run_async()
    for bug in _bugs:
        print_exception(bug, file=sys.stderr)
    return int(Exit.FAILED) if _bugs else board.return_code or 0


def prepare() -> None:
    """A world, the API and the screen share one loop and one thread. Textual reads its variable when it is first imported."""
    os.environ.setdefault("TEXTUAL_FPS", FRAMES)
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*GC)


@asynccontextmanager
async def _of_context(context: str, *, read_only: bool, interval: float) -> AsyncIterator[Api]:
    name = contexts.chosen(context)
    if contexts.SIMULATED.match(name):
        async with simulated(name, name, read_only=read_only) as api:
            yield api
        return
    from tui.source import of_context

    api = of_context(context, read_only=read_only, interval=interval)
    try:
        yield api
    finally:
        await api.close()


@asynccontextmanager
async def simulated(
    name: str, what: Any, *, read_only: bool = False, speed: float = SPEED, **how: Any
) -> AsyncIterator[Api]:
    """``what``: the name of a built-in cluster, or a scenario. Raises Failure."""
    from ave.errors import Refused
    from sim.shown import simulated as made

    with ExitStack() as held:
        try:
            world = held.enter_context(made(what, **how))
        except Refused as refusal:
            raise Usage(str(refusal)) from None
        async with _within(name, world, read_only=read_only, speed=speed) as api:
            yield api


@asynccontextmanager
async def _recorded(run: Path) -> AsyncIterator[Api]:
    from ave.errors import Refused
    from sim.shown import recorded

    try:
        world = recorded(run)
    except Refused as refusal:
        raise Usage(str(refusal)) from None
    async with _within(run.name, world, read_only=True, speed=SPEED, paused=True) as api:
        yield api


@asynccontextmanager
async def _within(name: str, world: Any, *, read_only: bool, **how: Any) -> AsyncIterator[Api]:
    """A world in this process, on this very loop: its API is asked without a socket."""
    from drivers.rest.served import world_within
    from tui.source import Api

    async with world_within(world, bug=_bugs.append, **how) as transport:
        api = Api(name, (WITHIN,), transport=transport, read_only=read_only)
        try:
            yield api
        finally:
            await api.close()


def _serve(context: str, run: Path | None, *, read_only: bool, theme: str, port: int) -> int:
    """A dashboard for each visitor: a process of its own, of this very command."""
    try:
        from textual_serve.server import Server
    except ImportError:
        raise Usage("--serve needs textual-serve", "pip install 'ave[serve]'") from None
    words = [sys.executable, "-m", "ave.cli.main", "tui"]
    words += ["--context", context] if context else []
    words += ["--run", str(run)] if run is not None else []
    words += ["--theme", theme] if theme else []
    words += ["--read-only"] if read_only else []
    Server(shlex.join(words), host=ADDRESS, port=port, title="ave").serve()
    return int(Exit.OK)
