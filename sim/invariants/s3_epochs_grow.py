from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.cluster import Role
from ave.model.host import Host
from ave.model.vm import VM
from ave.model.volume import Volume
from drivers.sim.facts import Owned
from sim.invariants.shape import Stage, Violation


class EpochsGrow:
    """Armed each time an epoch or term moves on."""

    id = "S3"
    phrase = "epochs and terms never go back, and each is given to one owner only"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._newest: dict[str, tuple[int, str]] = {}

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Owned: self.owned, "vm": self.vm, "volume": self.volume, "host": self.host, "role": self.role}

    def owned(self, fact: Owned) -> None:
        if fact.owner:
            self._moves(f"volume {fact.volume}", fact.epoch, fact.owner)

    def volume(self, change: tuple[str, Volume | None]) -> None:
        """One that is made again under the name of a deleted one is another."""
        id, volume = change
        if volume is None:
            self._newest.pop(f"volume {id}", None)

    def vm(self, change: tuple[str, VM | None]) -> None:
        id, vm = change
        if vm is None:
            self._newest.pop(f"VM {id}", None)
        elif vm.host:
            self._moves(f"VM {id}", vm.epoch, vm.host)

    def host(self, change: tuple[str, Host | None]) -> None:
        id, host = change
        if host is not None:
            self._moves(f"host {id}", host.epoch, host.boot)

    def role(self, change: tuple[str, Role | None]) -> None:
        id, role = change
        if role is not None:
            self._moves(f"role {id}", role.term, role.holder)

    def _moves(self, what: str, epoch: int, owner: str) -> None:
        newest, whose = self._newest.get(what, (-1, owner))
        if epoch < newest:
            raise Violation(self.id, f"the epoch of {what} went back from {newest} to {epoch}", (what.split()[-1],))
        if epoch == newest and owner != whose and not what.startswith("host"):
            text = f"epoch {epoch} of {what} was given to {whose} and to {owner}"
            raise Violation(self.id, text, (what.split()[-1],))
        if epoch > newest:
            self.armed += newest >= 0
            self._newest[what] = (epoch, owner)
