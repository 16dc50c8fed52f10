"""Guests on the bed, by libvirt itself: for tests of the bed, and as the bare measure for AVE's own driver."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import libvirt
import libvirt_qemu

from tests.real.bed import BedError, Host

AGENT_SECONDS = 60.0
_COMMAND_SECONDS = 10


@contextmanager
def libvirt_of(host: Host) -> Iterator[Any]:
    """A connection over the socket of that host."""
    libvirt.registerErrorHandler(lambda context, error: None, None)  # or each error is also printed
    connection = libvirt.open(host.local_uri)
    try:
        yield connection
    finally:
        connection.close()


def wait_for_agent(domain: Any, seconds: float = AGENT_SECONDS) -> float:
    """How many seconds it took to answer. BedError if it took too many, or the domain ended."""
    began = monotonic()
    while True:
        try:
            agent(domain, "guest-ping", seconds=2)
            return monotonic() - began
        except libvirt.libvirtError as error:
            if monotonic() - began > seconds or not domain.isActive():
                raise BedError(f"the agent of {domain.name()} does not answer: {error}") from None
        sleep(0.05)


def agent(domain: Any, command: str, *, seconds: int = _COMMAND_SECONDS, **arguments: Any) -> Any:
    asked = {"execute": command, **({"arguments": arguments} if arguments else {})}
    return json.loads(libvirt_qemu.qemuAgentCommand(domain, json.dumps(asked), seconds, 0))["return"]


def shell(domain: Any, line: str) -> str:
    """What a line prints in the guest. BedError if it fails there, or takes longer than ten seconds."""
    asked: dict[str, Any] = {"path": "/bin/sh", "arg": ["-c", line], "capture-output": True}
    pid = agent(domain, "guest-exec", **asked)["pid"]
    deadline = monotonic() + _COMMAND_SECONDS
    while not (state := agent(domain, "guest-exec-status", pid=pid))["exited"]:
        if monotonic() > deadline:
            raise BedError(f"in {domain.name()}, {line!r} does not end")
        sleep(0.02)
    said, wrong = (base64.b64decode(state.get(name, "")).decode() for name in ("out-data", "err-data"))
    if state.get("exitcode"):
        raise BedError(f"in {domain.name()}, {line!r} ended with {state['exitcode']}: {wrong}")
    return str(said)
