"""Initiators that tests hold in their hands: QEMU's, which is told what to do line by line, and half a login."""

import socket
import struct
import subprocess
import sys
from contextlib import contextmanager

from drivers.iscsi import names
from drivers.iscsi.pool import Pool


def image(lab, host, epoch, volume="disk"):
    return lab.image(names.target(volume, host, epoch), host, epoch)


@contextmanager
def running(lab, *command, stdin=subprocess.PIPE):
    """An initiator that lives for a while; it is told what to do by its input."""
    process = subprocess.Popen(
        lab.ground.inside(*command),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def tell(process, words):
    process.stdin.write(words + "\n")
    process.stdin.flush()


def hear(process, words):
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"{words!r} was never said")


def block(lab, at=0):
    with open(Pool(lab.pool_folder).path("disk"), "rb") as file:
        file.seek(at)
        return file.read(1)


def interactive(lab, host, epoch):
    found = image(lab, host, epoch)
    return running(lab, "qemu-io", "-n", *found)


class HalfLogin:
    """An initiator by hand, that logs in to the point where the target has looked at its name, and no further."""

    def __init__(self, ground, target, initiator):
        self.link = _connect_inside(ground)
        self.sequence = 0
        text = {"InitiatorName": initiator, "TargetName": target, "SessionType": "Normal", "AuthMethod": "None,CHAP"}
        self.answer = self.say(text, csg=0, nsg=1, transit=False)

    def say(self, text, csg, nsg, transit):
        data = b"".join(f"{key}={value}".encode() + b"\0" for key, value in text.items())
        flags = (0x80 if transit else 0) | csg << 2 | nsg
        isid, tsih, tag = b"\x80\0\0\0\0\1", 0, 1
        header = struct.pack(
            ">BBBBB3s6sHIHHII16x", 0x43, flags, 0, 0, 0, len(data).to_bytes(3, "big"), isid, tsih, tag, 1, 0, 1, 0
        )
        self.link.sendall(header + data + b"\0" * (-len(data) % 4))
        answer = b""
        while len(answer) < 48:
            part = self.link.recv(48 - len(answer))
            if not part:
                return None
            answer += part
        length = int.from_bytes(answer[5:8], "big")
        rest = b""
        while len(rest) < length + (-length % 4):
            rest += self.link.recv(4096)
        return (
            answer[36],
            answer[37],
            dict(pair.split(b"=", 1) for pair in rest[:length].rstrip(b"\0").split(b"\0") if b"=" in pair),
        )


def _connect_inside(ground):
    """A TCP connection in the network of the targets, made there by a child and handed over."""
    here, there = socket.socketpair(socket.AF_UNIX)
    code = (
        "import socket,sys\n"
        "s=socket.create_connection(('127.0.0.1',3260),5)\n"
        "u=socket.socket(fileno=int(sys.argv[1]))\n"
        "socket.send_fds(u,[b'x'],[s.fileno()])\n"
    )
    subprocess.run(
        ground.inside(sys.executable, "-c", code, str(there.fileno())), pass_fds=[there.fileno()], check=True
    )
    _, handles, _, _ = socket.recv_fds(here, 1, 1)
    here.close()
    there.close()
    link = socket.socket(fileno=handles[0])
    link.settimeout(5)
    return link
