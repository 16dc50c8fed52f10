"""Hosts that are silent, that die in the middle, that are none of ours; and a simulated cluster in their place."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ave.cli.main import main
from drivers.rest.server import Secret
from tests.unit.cli.served import Ave, Served, served, vm

ROOT = Path(__file__).parents[3]


@contextmanager
def host(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of somebody who takes one connection, and does this with it."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()

        def take() -> None:
            incoming, _ = door.accept()
            with incoming:
                answer(incoming)

        taking = threading.Thread(target=take, daemon=True)
        taking.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        taking.join(30)
    assert not taking.is_alive()


def request(incoming: socket.socket) -> bytes:
    text = b""
    while b"\r\n\r\n" not in text:
        text += incoming.recv(65536)
    return text


def port(of: Served) -> tuple[str, int]:
    return "127.0.0.1", int(of.url.rpartition(":")[2])


def test_another_host_is_asked_if_one_is_silent(
    ave: Ave, here: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert ave("context", "add", "lab", "http://127.0.0.1:1", here.url).code == 0
    monkeypatch.delenv("AVE_CONTEXT")
    assert ave("vm", "ls", "-o", "name").out.startswith("vm/db-1")
    assert ave("vm", "start", "web-2", "--no-wait").code == 0
    assert ave("wait", "vm/web-1", "--for", "state=running").code == 0
    told = ave("context", "ls", "-o", "json")
    assert [row["name"] for row in json.loads(told.out)["items"] if row["current"]] == ["lab"]
    assert ave("context", "rm", "lab").code == 0
    assert ave("context", "use", "lab").code == 2


def test_what_was_sent_and_not_answered_is_sent_again_and_done_once(ave: Ave, here: Served) -> None:
    """A host takes the request and dies before it answers; the next one knows the key."""

    def take_and_die(incoming: socket.socket) -> None:
        with socket.create_connection(port(here)) as outgoing:
            outgoing.sendall(request(incoming))
            outgoing.recv(65536)

    with host(take_and_die) as first:
        ave("context", "add", "lab", first, here.url)
        told = ave("vm", "start", "web-2", "--no-wait", "--context", "lab")
    assert told.code == 0, told.err
    assert [job.id for job in here.jobs()] == [told.out.strip()]


def test_what_is_no_job_is_not_sent_again(ave: Ave, here: Served) -> None:
    """It has no key, and might be done twice."""

    def take_and_die(incoming: socket.socket) -> None:
        assert request(incoming)

    for words in (("user", "create", "ada"), ("api", "POST", "/v1/users", "-d", '{"id": "ada"}')):
        with host(take_and_die) as first:
            ave("context", "add", "lab", first, here.url)
            told = ave(*words, "--context", "lab")
        assert told.code == 7
        assert "before you repeat it" in told.err
    assert ave("user", "ls", "-o", "name").out == ""


def test_a_stream_that_breaks_goes_on_at_another_host(ave: Ave, here: Served) -> None:
    """Without a repetition, and with what came meanwhile."""
    enough = threading.Event()

    def begin_and_die(incoming: socket.socket) -> None:
        with socket.create_connection(port(here)) as outgoing:
            outgoing.sendall(request(incoming))
            outgoing.settimeout(0.1)
            while not enough.is_set():
                with suppress(TimeoutError):
                    incoming.sendall(outgoing.recv(65536))

    with host(begin_and_die) as first:
        ave("context", "add", "lab", first, here.url)
        command = [sys.executable, "-m", "ave.cli.main", "vm", "ls", "-w", "-o", "name", "--context", "lab"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            seen = [watching.stdout.readline().strip() for _ in range(3)]
            enough.set()
            here.put(vm("web-9"))
            seen.append(watching.stdout.readline().strip())
            watching.send_signal(signal.SIGINT)
            _, err = watching.communicate(timeout=30)
    assert seen == ["vm/db-1", "vm/web-1", "vm/web-2", "vm/web-9"]
    assert err == ""


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
def test_who_is_no_host_of_ours_is_told_apart(ave: Ave, said: bytes) -> None:
    def answer(incoming: socket.socket) -> None:
        request(incoming)
        incoming.sendall(said)

    with host(answer) as stranger:
        told = ave("vm", "show", "web-1", "--context", stranger)
    assert told.code in (1, 6), told
    assert told.out == ""
    assert len(told.err.splitlines()) == 2


def test_a_simulated_cluster_is_built_in(ave: Ave) -> None:
    hosts = ave("host", "ls", "-o", "name", "--context", "sim:2-host")
    assert hosts == (0, "host/host-1\nhost/host-2\n", "")
    made = ave("--context", "sim:2-host", "vm", "create", "mine", "--cpus", "1", "--memory", "1GiB")
    assert (made.code, made.out.splitlines()[1].split()) == (0, ["mine", "ok", "-"])
    many = ave("host", "ls", "--context", "sim:999-host")
    assert (many.code, "sim:1-host to sim:64-host" in many.err) == (2, True)


def test_tls_is_checked_against_whom_the_context_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ]
    named = ["-subj", "/CN=h1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", *made, *named], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("AVE_CONTEXT", "")
    with served(tmp_path, Secret(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))) as here:
        codes = []
        for words in (
            ("context", "add", "unknown", here.url),
            ("context", "add", "known", here.url, "--ca-file", str(tmp_path / "cert.pem")),
            ("--context", "unknown", "host", "ls"),
            ("--context", "known", "host", "ls", "-o", "name"),
        ):
            monkeypatch.setattr(sys, "argv", ["ave", *words])
            with pytest.raises(SystemExit) as ended:
                main()
            codes.append(ended.value.code)
    assert codes == [0, 0, 6, 0]
    assert capsys.readouterr().out == "host/h1\n"
