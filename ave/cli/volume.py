"""``ave volume`` and ``ave network``: what VMs are put together from."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ave.cli.cluster import HERE, PATIENT, Output, Patience, Where, ask, sure
from ave.cli.screen import complain
from ave.cli.sizes import gib_of
from ave.errors import Refused


def create(*names: str, size: str, where: Where = HERE, patience: Patience = PATIENT, output: Output = "table") -> int:
    """Make volumes that belong to no VM. Exit 0 all are there, 1 some are not, and why.

    Parameters
    ----------
    size
        Of each: 10GiB.
    """
    from ave.operations import CreateVolumes, NewVolume

    try:
        gib = gib_of(size)
    except Refused as problem:
        return complain(problem)
    new = tuple(NewVolume(id=name, size_gib=gib) for name in names)
    return ask(where, patience, output, "volume.create", CreateVolumes(volumes=new))


def grow(
    name: str, /, *, size: str, where: Where = HERE, patience: Patience = PATIENT, output: Output = "table"
) -> int:
    """Make a volume larger, while its VM runs or not. Exit 0 it is, 1 it is not, and why.

    Parameters
    ----------
    size
        That it shall have: 20GiB.
    """
    from ave.operations import GrowVolumes

    try:
        gib = gib_of(size)
    except Refused as problem:
        return complain(problem)
    return ask(where, patience, output, "volume.grow", GrowVolumes(sizes_gib={name: gib}))


def delete(
    *names: str,
    yes: Annotated[bool, Parameter(negative="")] = False,
    where: Where = HERE,
    patience: Patience = PATIENT,
    output: Output = "table",
) -> int:
    """Delete volumes that belong to no VM, with all that is on them. Exit 0 all are gone, 1 some are not, and why.

    Parameters
    ----------
    yes
        Do not ask first.
    """
    from ave.operations import NameVolumes

    try:
        if not sure("delete, with all that is on them,", list(names), yes):
            return 1
    except Refused as problem:
        return complain(problem)
    return ask(where, patience, output, "volume.delete", NameVolumes(volumes=names))


def create_network(
    *names: str,
    vlan: int = 0,
    trunk: Annotated[list[int] | None, Parameter(negative="")] = None,
    where: Where = HERE,
    patience: Patience = PATIENT,
    output: Output = "table",
) -> int:
    """Declare networks of VMs; hosts say by [machine] networks that they have them. Exit 0 all are declared, 1 some are not.

    Parameters
    ----------
    vlan
        Of frames without a tag.
    trunk
        A VLAN whose tagged frames a NIC sees; once for each.
    """
    from ave.operations import DescribedNetwork, DescribeNetworks

    new = tuple(DescribedNetwork(id=name, vlan=vlan, trunk=tuple(trunk or ())) for name in names)
    return ask(where, patience, output, "network.create", DescribeNetworks(networks=new))


def delete_network(*names: str, where: Where = HERE, patience: Patience = PATIENT, output: Output = "table") -> int:
    """Delete networks to which no VM is connected. Exit 0 all are gone, 1 some are not, and why."""
    from ave.operations import NameNetworks

    return ask(where, patience, output, "network.delete", NameNetworks(networks=names))
