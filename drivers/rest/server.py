"""uvicorn as a guest of our loop: it takes no signal, writes no log, and lets go of everybody when it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from contextlib import suppress

import msgspec
import uvicorn
from starlette.types import ASGIApp

from ave.errors import Refused
from drivers.rest.patience import Patience
from drivers.rest.protocol import Protocol

KEEP_ALIVE_SECONDS = 30
CONNECTIONS_MAX = 1000
BACKLOG = 512
STOP_SECONDS = 3.0  # for answers under way

for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
    logging.getLogger(name).addHandler(logging.NullHandler())
    logging.getLogger(name).propagate = False


def listen(address: str, port: int) -> socket.socket:
    """Refused if it cannot be listened on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # With its protocol named: else asyncio sets no TCP_NODELAY on what it accepts, and each answer waits 40 ms for an ACK.
    one = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
        one.listen(BACKLOG)
    except (OSError, OverflowError) as problem:
        one.close()
        why = getattr(problem, "strerror", problem)
        raise Refused(f"{address}:{port} cannot be listened on: {why}") from problem
    one.setblocking(False)
    return one


class Secret(msgspec.Struct, frozen=True):
    """What TLS takes: two PEM files."""

    certificate: str
    key: str


async def serve(app: ASGIApp, where: socket.socket, secret: Secret | None = None) -> None:
    """Until it is cancelled. Refused if the certificate or its key cannot be read."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        http=Protocol,  # whose connections `patience` knows
        ssl_certfile=secret.certificate if secret is not None else None,
        ssl_keyfile=secret.key if secret is not None else None,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as problem:
        where.close()
        raise Refused(f"api.certificate, api.key: they cannot be used: {problem}") from problem
    server = uvicorn.Server(config)
    running = asyncio.ensure_future(server._serve([where]))  # serve() would take the signals of our process
    patience = asyncio.ensure_future(Patience(lambda: server.server_state.connections).run())
    try:
        await asyncio.shield(running)
    finally:
        patience.cancel()
        server.should_exit = True
        _leave(server, running, where)


def _leave(server: uvicorn.Server, running: asyncio.Future[None], where: socket.socket) -> None:
    """Answers under way have a moment; streams, which never end, are cut."""

    def cut() -> None:
        server.force_exit = True
        for connection in list(server.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                with suppress(RuntimeError):
                    transport.close()

    asyncio.get_running_loop().call_later(STOP_SECONDS, cut)
    running.add_done_callback(lambda done: where.close())
