"""What a domain is in for, beside whether it runs: kept by its driver, and durably, so that no later process mistakes it."""

from __future__ import annotations

from enum import StrEnum

from ave.ports.hypervisor import DomainState


class Phase(StrEnum):
    SETTLED = "settled"
    SUSPENDED = "suspended"  # its user wants it to stand still
    INCOMING = "incoming"  # a copy that was not yet given the right to run
    ARRIVING = "arriving"  # … and now was, or did its starter die before it said so?
    LEAVING = "leaving"  # complete on another host: whether it may run is decided there


P, D = Phase, DomainState
# what a domain is, by its phase, when its process (runs, stands still)
STATES = {
    P.SETTLED: (D.RUNNING, D.PAUSED),
    P.SUSPENDED: (D.RUNNING, D.SUSPENDED),
    P.INCOMING: (D.INCOMING, D.INCOMING),
    P.ARRIVING: (D.RUNNING, D.INCOMING),
    P.LEAVING: (D.RUNNING, D.PAUSED),
}

# and what it is before it is let run, (without, with) a lease: who dies right afterwards leaves what can be done again
BEFORE_IT_RUNS = {
    P.SETTLED: (P.SETTLED, P.SETTLED),
    P.SUSPENDED: (P.SETTLED, P.SETTLED),
    P.INCOMING: (P.INCOMING, P.ARRIVING),
    P.ARRIVING: (P.ARRIVING, P.ARRIVING),
    P.LEAVING: (P.SETTLED, P.LEAVING),
}

ARRIVED = (Phase.SETTLED, Phase.SUSPENDED, Phase.LEAVING)  # a copy, whatever became of it since
