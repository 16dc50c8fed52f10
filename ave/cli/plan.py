"""``ave plan``: place VMs on paper, and put a cluster on paper, a live one or one out of a recording."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ave.cli.screen import complain
from ave.errors import AveError, Refused
from ave.placement.purpose import Purpose

EXPLAINED = 10  # VMs of a batch, unless all are asked for


def place(
    *,
    snapshot: Path,
    vm: Annotated[list[str], Parameter(name="--vm", negative="")],
    count: int = 1,
    purpose: Purpose = Purpose.START,
    explain: Annotated[bool, Parameter(negative="")] = False,
    all: Annotated[bool, Parameter(name="--all", negative="")] = False,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Where would these VMs go? Exit 0 all placed, 1 some fit nowhere, 2 bad input, and nothing was decided.

    Parameters
    ----------
    snapshot
        The cluster: a YAML or JSON file (docs/placement.md has an example).
    vm
        name=web-7,vcpus=4,memory=64GiB and, if wanted, cpu-model=, network=, volume=, group=, pinned=yes, host=. Several
        are placed as one batch.
    count
        So many of each.
    purpose
        start, live (it runs and is moved) or rescue.
    explain
        Say of every host what was for and against it.
    all
        Show every host and every VM.
    output
        What to print.
    """
    from ave.cli import snapshot_file
    from ave.cli.placement_table import show, show_batch
    from ave.placement.batch import place_batch
    from ave.placement.explain import explain_batch
    from drivers.plugins import plugged

    try:
        rules = plugged()
        wanted = snapshot_file.wanted(vm, count)
        cluster = snapshot_file.load(snapshot, [each.id for each in wanted.vms])
        view = snapshot_file.joined(cluster, wanted).view()
        batch = place_batch(view, wanted.vms, purpose, only=wanted.host, plugged=rules)
    except Refused as problem:
        return complain(problem)
    alone = len(wanted.vms) == 1
    names = list(batch.placed) + list(batch.refused) if explain or alone else list(batch.refused)
    if not all and output == "table":
        names = names[: EXPLAINED if explain else 1]
    if output == "json" and not explain:
        names = []
    _, told = explain_batch(view, wanted.vms, purpose, names, only=wanted.host, plugged=rules)
    if output == "json":
        _print_json(batch, told)
        return 1 if batch.refused else 0
    if not alone:
        show_batch(batch, every_vm=all)
    for number, each in enumerate(told.values()):
        if number or not alone:
            print()
        if explain:
            show(each, every_host=all)
        else:
            _say(each)
    return 1 if batch.refused else 0


def _say(explained: Any) -> None:
    from ave.cli.listing import console
    from ave.placement.told import sentence

    console().print(sentence(explained), markup=False)


def _print_json(batch: Any, explained: dict[str, Any]) -> None:
    import msgspec

    from ave.cli.placement_table import plain
    from ave.placement.told import reasons, told

    refused = {
        vm: {"hosts": why.hosts, "rejected": dict(why.rejected), "says": reasons(why)}
        for vm, why in batch.refused.items()
    }
    answer = {"plan": batch.plan, "gained": batch.gained, "placed": batch.placed, "refused": refused}
    answer |= {"says": told(batch), "explanations": {vm: plain(each) for vm, each in explained.items()}}
    print(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())


def snapshot(*, run: Path | None = None, at: float | None = None, store: str = "", config: Path | None = None) -> int:
    """Print a cluster as a snapshot file: a live one as it is, or one of a recorded run as it was. Exit 0 done, 1 the store
    cannot be read, 2 there is no such cluster or moment.

    Parameters
    ----------
    run
        The directory of a run: ave sim run FILE --out RUN.
    at
        Seconds since its beginning.
    store
        A live cluster's store: sqlite:FILE, or mongodb://one,two,three/?replicaSet=…
    config
        The TOML file of one of its nodes, for a store that asks for a user and a password.
    """
    from ave.cli import snapshot_file

    try:
        if (run is not None) is (bool(store) or config is not None):
            raise Refused("which cluster? --run RUN_DIR --at SECONDS, or --store URL or --config FILE of a live one")
        if (run is None) is not (at is None):
            raise Refused("--run and --at go together")
        taken = snapshot_file.live(store, config) if run is None or at is None else _recorded(run, at)
        sys.stdout.write(snapshot_file.text(taken))
    except Refused as problem:
        return complain(problem)
    except AveError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _recorded(run: Path, at: float) -> Any:
    from sim import hindsight

    recording = hindsight.recording_of(run)
    if recording.damage:
        print(recording.damage, file=sys.stderr)
    return hindsight.at(recording, at)
