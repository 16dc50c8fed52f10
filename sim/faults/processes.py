"""Processes of the control plane that die or hang, while everything else on their hosts goes on."""

from __future__ import annotations

from drivers.sim.machine import Machine
from drivers.sim.runtime import SimRuntime
from sim.cluster import SimCluster
from sim.faults.fault import Begin, Fault, Given, Undo, each, lasting
from sim.faults.power import leader
from sim.scenario.catalogue import FaultKind, Parameter

_PROCESS = Parameter("process", "text", "node", choices=("node", "guard"))


def _kill(machine: Machine, given: Given) -> None:
    if str(given["process"]) in machine.running:
        machine.kill(str(given["process"]))


_SEEN = Parameter("seen", "flag", False, phrase="by the guard, which ends it after 15 s, so that it is started anew")


def _stall(process: str) -> Begin:
    def running(cluster: SimCluster, hosts: tuple[str, ...]) -> list[tuple[Machine, SimRuntime]]:
        machines = [cluster.machines[host] for host in hosts]
        return [(machine, machine.running[process]) for machine in machines if process in machine.running]

    def settle(cluster: SimCluster, hit: tuple[Machine, SimRuntime], seen: bool | None) -> None:
        machine, runtime = hit
        if machine.running.get(process) is not runtime:
            return  # it was killed meanwhile, and hangs no more
        if seen is None:
            machine.unstall_process(process)
        else:
            machine.stall_process(process, seen=seen)

    return lasting("process", lambda given: bool(given.get("seen")), settle, of=running)


def _loop(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> Undo:
    runtime = SimRuntime(cluster.world, f"crash loop of {','.join(hosts)}")

    async def kill_for_ever() -> None:
        while True:
            each(_kill)(cluster, hosts, given)
            await runtime.sleep(float(given["seconds"]))

    killing = runtime.spawn(kill_for_ever(), name="crash loop")

    def undo() -> None:
        killing.cancel()

    return undo


ROWS = (
    Fault(
        kind=FaultKind(
            "process-kill", "kill -9 of a process of the host; its supervisor restarts it", "host", (_PROCESS,)
        ),
        covers=("F06", "F45"),
        begin=each(_kill),
    ),
    Fault(
        kind=FaultKind(
            "crash-loop",
            "a process of the host is killed again and again; each time its supervisor restarts it within 3 s",
            "host",
            (_PROCESS, Parameter("seconds", "seconds", 10.0, 5.0, 3600.0, "from one time to the next")),
            True,
        ),
        covers=("F09",),
        begin=_loop,
    ),
    Fault(
        kind=FaultKind(
            "node-stall",
            "the host's node hangs; nobody restarts it unless that is seen, and when its lease ends the guard freezes the VMs",
            "host",
            (_SEEN,),
            True,
        ),
        covers=("F07", "F38", "F46"),
        begin=_stall("node"),
        harms=True,
    ),
    Fault(
        kind=FaultKind("guard-stall", "the host's guard process hangs and nobody restarts it", "host", (), True),
        covers=("F07",),
        begin=_stall("guard"),
    ),
    Fault(
        kind=FaultKind(
            "leader-stall",
            "the node process on the storage's meta leader hangs, so the Active scheduler and monitor do; it stays leader",
            "storage",
            (_SEEN,),
            True,
        ),
        covers=("F38", "F39"),
        begin=_stall("node"),
        harms=True,
        who=leader,
    ),
)
