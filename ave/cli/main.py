"""The command line: its commands, and what its exit codes mean.

0 done · 1 failed · 2 bad usage or bad input · 3 there is no such thing · 6 the store cannot be reached · 7 it takes longer than
one waits · 98 an invariant was violated · 99 a threshold was missed · 130 interrupted.
"""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError

from ave import __version__

app = App(name="ave", version=f"ave {__version__}", help="A control plane for KVM virtual machines, and its simulator.")
sim = App(name="sim", help="Replay scenarios with the real control plane on a simulated cluster.")
app.command(sim)
sim.command("ave.cli.sim:run", name="run", help="Play a scenario and judge it.")
sim.command("ave.cli.explore:explore", name="explore", help="Draw scenarios by seed, and look for what breaks.")
sim.command("ave.cli.shrink:shrink", name="shrink", help="Cut a failing scenario down to what makes it fail.")
sim.command("ave.cli.sim:sweep", name="sweep", help="Play a scenario once for each step of a range.")
sim.command("ave.cli.budget:budget", name="budget", help="Measure what high availability costs.")
sim.command("ave.cli.serve:serve", name="serve", help="Put the API before a simulated cluster.")
sim.command("ave.cli.sim:validate", name="validate", help="Check scenario files without running them.")
sim.command("ave.cli.sim:list_faults", name="faults", help="List what can be done to a simulated cluster.")
plan = App(name="plan", help="Place VMs on a cluster on paper.")
app.command(plan)
plan.command("ave.cli.plan:place", name="place", help="Say where VMs would go, and why.")
plan.command(
    "ave.cli.plan:snapshot", name="snapshot", help="Put a cluster on paper: a live one, or one of a recorded run."
)
explain = App(name="explain", help="Ask why.")
app.command(explain)
explain.command("ave.cli.explain:placement", name="placement", help="Say why a VM goes to a host, or to none.")
app.command("ave.cli.node:node", name="node", help="Run the services of one host, for real.")
app.command("ave.cli.node:guard", name="guard", help="Freeze the VMs of one host when its lease is over, for real.")
app.command("ave.cli.storage:storage", name="storage", help="Run the storage box: volumes and who owns them, for real.")
app.command(
    "ave.cli.init:init", name="init", help="Make the first administrator of a cluster, and print his token once."
)
config = App(name="config", help="Ask what this host is configured to.")
app.command(config)
config.command(
    "ave.cli.config:show", name="show", help="Say every value that a service would use, and where it is from."
)
app.command("ave.cli.doctor:doctor", name="doctor", help="Check whether this host has what its services need.")
app.command("ave.cli.demo:demo", name="demo", help="Watch a cluster lose a host under load and save its VMs.")

for noun, what, verbs in (
    (
        "vm",
        "Make VMs and look after them.",
        {
            "ave.cli.vm:create": "Create VMs, and start them.",
            "ave.cli.objects:ls_vms": "List VMs.",
            "ave.cli.objects:show_vm": "Show one VM and its story.",
            "ave.cli.vm:start": "Start stopped VMs.",
            "ave.cli.vm:stop": "Shut VMs down, or force them off.",
            "ave.cli.vm:restart": "Shut VMs down and start them again.",
            "ave.cli.vm:suspend": "Let VMs stand still.",
            "ave.cli.vm:resume": "Let suspended VMs go on.",
            "ave.cli.vm:migrate": "Move VMs to another host, live.",
            "ave.cli.vm:delete": "Delete VMs and their disks.",
        },
    ),
    (
        "host",
        "Look after hosts.",
        {
            "ave.cli.objects:ls_hosts": "List hosts.",
            "ave.cli.objects:show_host": "Show one host and its story.",
            "ave.cli.host:drain": "Move all VMs away from a host.",
            "ave.cli.host:undrain": "Let a host take VMs again.",
        },
    ),
    (
        "volume",
        "Make volumes and look after them.",
        {
            "ave.cli.volume:create": "Make volumes.",
            "ave.cli.objects:ls_volumes": "List volumes.",
            "ave.cli.volume:grow": "Make a volume larger.",
            "ave.cli.volume:delete": "Delete volumes.",
        },
    ),
    (
        "network",
        "Declare networks of VMs.",
        {
            "ave.cli.volume:create_network": "Declare networks.",
            "ave.cli.objects:ls_networks": "List networks.",
            "ave.cli.volume:delete_network": "Delete networks.",
        },
    ),
    (
        "job",
        "Look at what the cluster is at.",
        {
            "ave.cli.job:ls": "List Jobs.",
            "ave.cli.job:show_job": "Show one Job and its story.",
            "ave.cli.job:wait": "Wait until a Job has ended.",
            "ave.cli.job:cancel": "Withdraw a Job.",
        },
    ),
    ("alarm", "What somebody must look at.", {"ave.cli.objects:ls_alarms": "List alarms."}),
):
    group = App(name=noun, help=what)
    app.command(group)
    for place, does in verbs.items():
        group.command(place, name=place.partition(":")[2].partition("_")[0], help=does)


def main() -> None:
    """The entry point of the installed ``ave``."""
    try:
        result = app(exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
