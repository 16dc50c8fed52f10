"""The command line: its commands, and what its exit codes mean.

0 done · 1 failed · 2 bad usage or bad input · 98 an invariant was violated · 99 a threshold was missed · 130 interrupted.
Of a cluster: 3 not found · 4 not in this state, or changed meanwhile · 5 denied · 6 unreachable · 7 too late (docs/cli.md).
"""

from __future__ import annotations

import os
import sys
from functools import cache

from cyclopts import App, CycloptsError, Group

from ave import __version__

app = App(
    name="ave",
    version=f"ave {__version__}",
    help="A control plane for KVM virtual machines, and its simulator. `ave --context NAME …` says which cluster.",
)
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
real = App(name="real", help="Play scenarios on real hosts in this machine: see docs/both-worlds.md.")
app.command(real)
real.command("ave.cli.real:run", name="run", help="Play a scenario on the test bed.")
real.command("ave.cli.real:compare", name="compare", help="Play scenarios there and in the simulator, and compare.")
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
app.command("ave.cli.demo:demo", name="demo", help="Look at a simulated cluster, and do to it what you like.")
app.command("ave.cli.tui:tui", name="tui", help="Look at a cluster on the whole terminal: the dashboard.")
app.command("ave.cli.remote.more:api", name="api", help="Make one call of the API.")
app.command("ave.cli.remote.more:wait", name="wait", help="Wait until things of a cluster are as is said.")
context = App(name="context", help="Which clusters there are, and which one is asked.")
app.command(context)
context.command("ave.cli.remote.more:context_ls", name="ls", help="List the clusters that have a name here.")
context.command("ave.cli.remote.more:context_use", name="use", help="Make a cluster the current one.")
context.command("ave.cli.remote.more:context_add", name="add", help="Give a cluster a name.")
context.command("ave.cli.remote.more:context_rm", name="rm", help="Forget a cluster's name.")
app.command("ave.cli.remote.completing:completion", name="completion", help="Print the completion script of a shell.")


@cache
def with_nouns() -> App:
    """With a group for each noun of the catalogue. Not always: to load the catalogue takes longer than to say the version."""
    from ave.api.nouns import NOUNS
    from ave.cli.remote.names import NOUN_ALIASES, VIRSH

    of_cluster = Group("A cluster", sort_key=1)
    for noun in NOUNS.values():
        for name in (noun.name, *NOUN_ALIASES.get(noun.name, ())):
            plural = noun.plural.replace("vms", "VMs")
            help = "What holds for the whole cluster." if noun.only else f"Ask for {plural}, and change them."
            path = f"ave.cli.remote.commands:{name}"
            app.command(path, name=name, help=help, group=of_cluster, show=name == noun.name)
    for word, operation in VIRSH.items():
        app.command(
            f"ave.cli.remote.commands:{word}", name=word, help=f"As virsh has it: {operation}.", group=of_cluster
        )
    return app


def _without_leading(words: list[str]) -> list[str]:
    """What stands before the command holds for whatever it is. Exits with 2 if it is not understood."""
    while len(words) > 1 and words[0] in ("--context", "--color"):
        if words[0] == "--context":
            os.environ["AVE_CONTEXT"] = words[1]
        else:
            from ave.cli.listing import colour

            try:
                colour(words[1])
            except ValueError as wrong:
                print(f"ave: {wrong}", file=sys.stderr)
                sys.exit(2)
        words = words[2:]
    return words


def main() -> None:
    """The entry point of the installed ``ave``."""
    words = _without_leading(sys.argv[1:])
    if words != ["--version"] and not (words and words[0] in app and not words[0].startswith("-")):
        with_nouns()
    try:
        result = app(words, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
