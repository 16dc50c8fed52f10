"""``ave host``: maintenance, in two words."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ave.cli.cluster import HERE, PATIENT, Output, Patience, Where, ask

Flag = Parameter(negative="")


def drain(
    name: str,
    /,
    *,
    check: Annotated[bool, Flag] = False,
    where: Where = HERE,
    patience: Patience = PATIENT,
    output: Output = "table",
) -> int:
    """Move every VM away from a host, and keep it empty until it is undrained. Exit 0 it is empty, 1 it is not, and why.

    Parameters
    ----------
    check
        Only say where its VMs would go, or what is in the way.
    """
    from ave.operations import EnterMaintenance

    return ask(where, patience, output, "host.enter-maintenance", EnterMaintenance(host=name, check_only=check))


def undrain(
    name: str,
    /,
    *,
    bring_back: Annotated[bool, Flag] = False,
    where: Where = HERE,
    patience: Patience = PATIENT,
    output: Output = "table",
) -> int:
    """Let a host take VMs again. Exit 0 it does, 1 it does not, and why.

    Parameters
    ----------
    bring_back
        The VMs that were moved away for its maintenance, too.
    """
    from ave.operations import ExitMaintenance

    return ask(where, patience, output, "host.exit-maintenance", ExitMaintenance(host=name, bring_back=bring_back))
