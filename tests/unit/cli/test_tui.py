"""ave tui and ave demo before anything is drawn: what is refused, and how."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import httpx2
import pytest

ROOT = Path(__file__).parents[3]


def ave(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ave.cli.main", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tui",), "the dashboard needs a terminal"),
        (("tui", "--run", "nowhere"), "the dashboard needs a terminal"),
        (("tui", "--run", "nowhere", "--context", "local"), "one of them"),
        (("tui", "--no-such-flag"), "no-such-flag"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_what_to_do(words: tuple[str, ...], said: str) -> None:
    answer = ave(*words)
    assert answer.returncode == 2
    assert said in answer.stderr + answer.stdout
    assert "Traceback" not in answer.stderr


async def seen_in_browser(port: int) -> str:
    """All that is drawn until the cluster is seen."""
    drawn = ""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}/ws?width=120&height=40") as talk,
    ):
        while "HEALTHY" not in drawn:
            message = await talk.receive()
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), (message, drawn[-2000:])
            data = message.data
            drawn += data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return drawn


def test_it_is_served_to_browsers_of_this_machine_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ave.cli.main", "tui", "--serve", "--port", str(port), "--context", "sim:6-host"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as served:
        try:
            ends, page = time.monotonic() + 60, None
            while page is None and time.monotonic() < ends:
                try:
                    page = httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False)
                except httpx2.ConnectError:
                    time.sleep(0.1)
            assert page is not None
            assert page.status_code == 200
            assert "HEALTHY" in asyncio.run(asyncio.wait_for(seen_in_browser(port), 60))
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", port), timeout=5).close()
        finally:
            served.send_signal(signal.SIGINT)
            served.communicate(timeout=30)
