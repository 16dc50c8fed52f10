"""A process that runs until it is told to stop."""

from __future__ import annotations

import asyncio
import faulthandler
import signal
from collections.abc import Coroutine
from typing import Any

from drivers.asyncio_runtime import AsyncioRuntime


async def until_told(runtime: AsyncioRuntime, main: Coroutine[Any, Any, Any], what: str) -> None:
    """Run this until it ends, or until SIGTERM or SIGINT. Should a library crash the process, its last words say where."""
    faulthandler.enable()
    task = asyncio.ensure_future(runtime.supervise(main))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        runtime.log(f"{what} stops")
