"""What the parser lets pass and we do not: heads and frames without an end. And that an answer comes in one piece."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from ave.model.vm import VM, VMState
from tests.unit.api.lab import Lab
from tests.unit.api.test_stream import served

HEAD = b"POST /v1/vms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PIECE, MOST = b"x" * 1024, 1024


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        pytest.param(b"G", b"E" * 1024, id="a method"),
        pytest.param(b"GET /", PIECE, id="a path"),
        pytest.param(HEAD + b"X-A: ", PIECE, id="a header"),
        pytest.param(HEAD, b"X-A: b\r\n" * 128, id="headers"),
        pytest.param(CHUNKED + b"1;", PIECE, id="what follows the length of a chunk"),
        pytest.param(CHUNKED + b"0\r\nX-A: ", PIECE, id="a trailer"),
        pytest.param(CHUNKED + b"0\r\n", b"X-A: b\r\n" * 128, id="trailers"),
    ],
)
def test_what_has_no_end_is_cut_off_before_it_is_large(tmp_path: Path, begin: bytes, piece: bytes) -> None:
    async def test(lab: Lab, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begin)
        sent = 0
        try:
            while sent < MOST and not reader.at_eof():
                writer.write(piece)
                await writer.drain()
                sent += 1
                await asyncio.sleep(0)
            said = await reader.read()
        except ConnectionError:
            said = b""
        assert sent < MOST, "a mebibyte was taken"
        assert said[:12] in (b"", b"HTTP/1.1 400")
        writer.close()
        _, again = await asyncio.open_connection("127.0.0.1", port)
        again.close()

    served(tmp_path, test)


def test_what_is_said_after_a_body_is_no_header(tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(CHUNKED + b"2\r\n{}\r\n0\r\nX-Request-Id: later\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")  # {} names no VM
        assert b"later" not in head
        writer.close()

    served(tmp_path, test)


def test_an_answer_comes_in_one_piece(tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        await lab.put(VM(id="a", vcpus=1, memory_mib=1024, state=VMState.STOPPED))
        loop = asyncio.get_running_loop()
        with socket.create_connection(("127.0.0.1", port)) as here:
            here.setblocking(False)
            for _ in range(20):
                await loop.sock_sendall(here, b"GET /v1/vms/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
                head, _, body = (await loop.sock_recv(here, 1 << 16)).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert body.endswith(b"}")

    served(tmp_path, test)
