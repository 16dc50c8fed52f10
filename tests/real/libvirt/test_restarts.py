"""libvirtd is killed and started anew in the middle of each call: what was asked is done or not, and the same call again
comes to its end."""

import asyncio
import re
from typing import Any

import msgspec
import pytest

from ave.errors import AveError, Unavailable, UnknownOutcome
from tests.contracts.labs import RUNNING, SUSPENDED, wait_for
from tests.contracts.test_hypervisor import SMALL, own, stamp

MOMENTS = (0.003, 0.2)  # seconds after the call has begun
MORE = msgspec.structs.replace(SMALL, volumes=("disk", "more"))  # this guest would not let go of a NIC


class Disturbed:
    """Calls of host a's hypervisor, in the middle of which its libvirtd dies."""

    def __init__(self, lab):
        self.lab, self.outcomes = lab, []

    def call(self, verb, *given, after, host="a"):
        """Once disturbed, and then until it is known to be done."""
        box = self.lab.boxes[host]

        async def disturbed():
            asked = asyncio.ensure_future(getattr(self.lab.drivers["a"], verb)(*given))
            await asyncio.sleep(after)
            box.kill_libvirtd()
            box.start_libvirtd()
            outcome: Any = (await asyncio.gather(asked, return_exceptions=True))[0]
            assert outcome is None or isinstance(outcome, AveError), outcome
            self.outcomes.append((verb, type(outcome).__name__))

        self.lab.run(disturbed())
        if verb != "migrate":
            wait_for(lambda: self.is_done(verb, *given), f"{verb} comes to its end", 90.0)

    def is_done(self, verb, *given):
        try:
            self.lab.call("a", 0, verb, *given)
            return True
        except (Unavailable, UnknownOutcome) as trouble:
            if found := re.search(r"on (\w), stop libvirtd, remove /run/(\S+), and start", str(trouble)):
                box = self.lab.boxes[found[1]]
                box.kill_libvirtd()
                (box.folder / "run" / found[2]).unlink()
                box.start_libvirtd()
            return False

    def states(self, host="a"):
        return {domain.epoch: domain.state for domain in self.lab.call(host, 0, "list")}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("after", MOMENTS)
def test_libvirtd_may_restart_in_the_middle_of_any_call(libvirt_lab, after):
    lab = libvirt_lab
    lab.place("more", "a", 1)
    disturbed = Disturbed(lab)
    disturbed.call("start", SMALL, stamp(), after=after)
    assert disturbed.states() == {1: RUNNING}
    disturbed.call("suspend", "vm", stamp(), after=after)
    assert disturbed.states() == {1: SUSPENDED}
    disturbed.call("resume", "vm", stamp(), after=after)
    assert disturbed.states() == {1: RUNNING}
    disturbed.call("pause", "vm", after=after)
    wait_for(lambda: disturbed.is_done("resume", "vm", own(1)), "it goes on")
    assert disturbed.states() == {1: RUNNING}
    disturbed.call("plug", MORE, stamp(), after=after)
    assert disturbed.states() == {1: RUNNING}
    lab.grow("disk", 2)
    disturbed.call("resize", "vm", "disk", 2, own(1), after=after)
    assert lab.seen_gib("a", "vm", "disk") == 2
    assert disturbed.states() == {1: RUNNING}
    for volume in MORE.volumes:
        lab.storage.admit(volume, "b", 2)
    for host in ("a", "b"):
        disturbed.call("migrate", MORE, "b", stamp(), after=after, host=host)
        wait_for(lambda: disturbed.is_done("abort_migration", "vm", "b", stamp()), "it is taken back", 90.0)
        assert (disturbed.states(), disturbed.states("b")) == ({1: RUNNING}, {})
    disturbed.call("shutdown", "vm", stamp(), 60.0, after=after)
    assert disturbed.states() == {}
    assert lab.call("a", 0, "ended") == ()
    lab.call("a", 0, "start", SMALL, stamp())
    disturbed.call("destroy", "vm", stamp(), after=after)
    assert disturbed.states() == {}
    assert any(outcome != "NoneType" for _, outcome in disturbed.outcomes), "none was hit"
