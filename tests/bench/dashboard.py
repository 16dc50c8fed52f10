"""The process that P18 types at: ``python -m tests.bench.dashboard VMS SPEED``, the dashboard on a simulated cluster."""

from __future__ import annotations

import sys

from ave.cli.tui import show, simulated
from sim.scenario.model import Fleet, Forever, Metadata, Scenario, Shape, Topology


def scenario(vms: int) -> Scenario:
    """A host for each 200 VMs, and nothing that comes or goes but what the control plane does by itself."""
    hosts = max(vms // 200, 6)
    return Scenario(
        metadata=Metadata("bench"),
        mode="cluster",
        seed=1,
        duration=1e6,
        topology=Topology((Shape(hosts, 256, 1024 * 1024, 8 * 1024),), 5, {}, ("vm-net",)),
        workload=(Fleet("web", vms, 1, 4096, 20 * 2**30, True, "medium", Forever()),),
    )


def main() -> int:
    speed = sys.argv[2]
    pace = speed if speed == "max" else float(speed)
    return show(simulated("bench", scenario(int(sys.argv[1])), speed=pace))  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
