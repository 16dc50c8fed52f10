"""``ave vm``: what users do with VMs. Each is a Job of the catalogue in ave/operations.py."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ave.cli.cluster import HERE, PATIENT, Output, Patience, Where, ask, sure
from ave.cli.screen import complain
from ave.cli.sizes import gib_of, mib_of
from ave.errors import Refused
from ave.model.vm import Priority

Flag = Parameter(negative="")


def create(
    *names: str,
    vcpus: int = 1,
    memory: str = "1GiB",
    disk: Annotated[list[str] | None, Parameter(negative="")] = None,
    network: Annotated[list[str] | None, Parameter(negative="")] = None,
    group: Annotated[list[str] | None, Parameter(negative="")] = None,
    ha: bool = True,
    priority: Priority = Priority.MEDIUM,
    start: bool = True,
    where: Where = HERE,
    patience: Patience = PATIENT,
    output: Output = "table",
) -> int:
    """Create VMs with new, empty disks, and start them. Exit 0 all of them run, 1 some do not, and why.

    Parameters
    ----------
    names
        One or more; all of them are alike, and are placed together.
    vcpus
        Of each.
    memory
        512MiB, 4GiB.
    disk
        10GiB; once for each disk. One of 10 GiB if absent.
    network
        Once for each NIC.
    group
        A placement group that they are in from the start.
    ha
        Whether they are started elsewhere when their host is lost.
    priority
        Who is rescued first: high, medium, low.
    start
        Or only create them.
    """
    from ave.operations import CreateVMs, NewVM

    try:
        new = tuple(
            NewVM(
                id=name,
                vcpus=vcpus,
                memory_mib=mib_of(memory),
                disks_gib=tuple(gib_of(size) for size in disk or ("10GiB",)),
                networks=tuple(network or ()),
                groups=tuple(group or ()),
                ha=ha,
                priority=priority,
            )
            for name in _named(names)
        )
    except Refused as problem:
        return complain(problem)
    return ask(where, patience, output, "vm.create", CreateVMs(vms=new, start=start))


def start(
    *names: str, host: str = "", where: Where = HERE, patience: Patience = PATIENT, output: Output = "table"
) -> int:
    """Start stopped VMs. Exit 0 all of them run, 1 some do not, and why.

    Parameters
    ----------
    host
        Where; the scheduler chooses if absent.
    """
    from ave.operations import StartVMs

    return ask(where, patience, output, "vm.start", StartVMs(vms=names, host=host))


def stop(
    *names: str,
    force: Annotated[bool, Flag] = False,
    seconds: float = 180.0,
    where: Where = HERE,
    patience: Patience = PATIENT,
    output: Output = "table",
) -> int:
    """Ask the guests to shut down. Exit 0 all of them are off, 1 some are not, and why.

    Parameters
    ----------
    force
        Do not ask: as if their power were cut.
    seconds
        How long the guests have.
    """
    from ave.operations import NameVMs, ShutdownVMs

    if force:
        return ask(where, patience, output, "vm.poweroff", NameVMs(vms=names))
    return ask(where, patience, output, "vm.shutdown", ShutdownVMs(vms=names, seconds=seconds))


def restart(
    *names: str,
    force: Annotated[bool, Flag] = False,
    seconds: float = 180.0,
    where: Where = HERE,
    patience: Patience = PATIENT,
    output: Output = "table",
) -> int:
    """Shut the guests down and start them again where they are. Exit 0 all of them run, 1 some do not, and why.

    Parameters
    ----------
    force
        Do not ask the guests.
    seconds
        How long the guests have.
    """
    from ave.operations import NameVMs, ShutdownVMs

    if force:
        return ask(where, patience, output, "vm.reset", NameVMs(vms=names))
    return ask(where, patience, output, "vm.restart", ShutdownVMs(vms=names, seconds=seconds))


def suspend(*names: str, where: Where = HERE, patience: Patience = PATIENT, output: Output = "table") -> int:
    """Let VMs stand still, with their memory, until they are resumed. Exit 0 all of them do, 1 some do not, and why."""
    from ave.operations import NameVMs

    return ask(where, patience, output, "vm.suspend", NameVMs(vms=names))


def resume(*names: str, where: Where = HERE, patience: Patience = PATIENT, output: Output = "table") -> int:
    """Let suspended VMs go on. Exit 0 all of them do, 1 some do not, and why."""
    from ave.operations import NameVMs

    return ask(where, patience, output, "vm.resume", NameVMs(vms=names))


def migrate(
    *names: str, host: str = "", where: Where = HERE, patience: Patience = PATIENT, output: Output = "table"
) -> int:
    """Move VMs to another host, running ones without stopping them. Exit 0 all have moved, 1 some have not, and why.

    Parameters
    ----------
    host
        Where to; the scheduler chooses if absent.
    """
    from ave.operations import MigrateVMs

    return ask(where, patience, output, "vm.migrate", MigrateVMs(vms=names, host=host))


def delete(
    *names: str,
    yes: Annotated[bool, Flag] = False,
    where: Where = HERE,
    patience: Patience = PATIENT,
    output: Output = "table",
) -> int:
    """Delete VMs with all that is on their disks. Exit 0 all are gone, 1 some are not, and why.

    Parameters
    ----------
    yes
        Do not ask first.
    """
    from ave.operations import NameVMs

    try:
        if not sure("delete, with all that is on their disks,", list(_named(names)), yes):
            return 1
    except Refused as problem:
        return complain(problem)
    return ask(where, patience, output, "vm.delete", NameVMs(vms=names))


def _named(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise Refused("which VMs? Name one or more")
    return names
