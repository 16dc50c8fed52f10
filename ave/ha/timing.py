"""The times of high availability, and the inequality that makes them safe.

A host may run VMs only while its own clock says less than ``give_up`` has passed since it *sent* its last successful
renewal. The leader may revoke the lease only after it has itself watched it unchanged for ``verdict``. Clocks are never
compared; all that is assumed is that two monotonic clocks differ in rate by at most ``RATE_ERROR``.
"""

from __future__ import annotations

import msgspec

from ave.errors import Refused

RATE_ERROR = 0.001  # between any two monotonic clocks: ten times what a bad quartz does
PAUSE_SECONDS = 2.0  # worst time from the decision to pause until no vCPU runs
GUARD_GRACE_SECONDS = 15.0  # how long after the lease's end the guard leaves the pausing to the node
GUARD_SECONDS = 2.0  # worst time of the guard's freeze
HUNG_SECONDS = 15.0  # without a sign of life after which the guard ends the node
RENEW_SECONDS = 5.0
TICK_SECONDS = 1.0  # the leader's look at the leases
SUSPECT_SECONDS = 15.0  # silence after which nothing new is placed there
READ_ONLY_SECONDS = 85.0  # without a writable file system after which a host's VMs are moved away
IDLE_SECONDS = 5.0  # how long a host's word that nothing runs there must stand: its lease may be back within a moment
UNMANAGED_SECONDS = 20.0  # silence of a host's worker in the store after which nothing new is placed there
LOOP_STARTS, LOOP_SECONDS = 4, 120.0  # a worker that is started so often within so long is not given new VMs


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """One profile, in seconds."""

    name: str
    give_up: float
    verdict: float
    network: float = 65.0  # a network of VMs carries nothing on a host, before they leave it
    guest: float = 120.0  # a guest says nothing, before its VM is started again

    def stopped_by(self) -> float:
        """The latest true time after its last renewal at which a host has stopped its VMs."""
        slack = max(TICK_SECONDS + PAUSE_SECONDS, GUARD_GRACE_SECONDS + GUARD_SECONDS)
        return self.give_up * (1 + RATE_ERROR) + slack

    def revoked_from(self) -> float:
        """The earliest true time after that renewal at which the lease can be revoked."""
        return self.verdict * (1 - RATE_ERROR)

    def require_safe(self) -> None:
        if not self.give_up > SUSPECT_SECONDS:
            raise Refused(
                f"profile {self.name} is unsafe: a host that gives up after {self.give_up:g} s has not lost "
                f"{SUSPECT_SECONDS:g} s of renewals yet; raise give_up"
            )
        if not self.revoked_from() >= self.stopped_by():  # said so that what is not a number is not safe
            raise Refused(
                f"profile {self.name} is unsafe: a host may run its VMs until {self.stopped_by():.2f} s after its last "
                f"renewal, but its lease may be revoked from {self.revoked_from():.2f} s; raise verdict or lower give_up"
            )


PROFILES = {
    profile.name: profile
    for profile in (
        Timing(name="seed", give_up=60.0, verdict=90.0),
        Timing(name="standard", give_up=95.0, verdict=130.0),
        Timing(name="medium-high", give_up=70.0, verdict=100.0, network=45.0, guest=60.0),
        Timing(name="high", give_up=40.0, verdict=60.0, network=35.0, guest=30.0),
    )
}
for _profile in PROFILES.values():
    _profile.require_safe()

assert 2 * RENEW_SECONDS < SUSPECT_SECONDS < min(p.give_up for p in PROFILES.values()), "a lost renewal is no suspicion"
