"""Which placement groups there are, and which of them bind a VM."""

from __future__ import annotations

from ave.model.group import Group


class Bonds:
    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._of: dict[str, dict[str, Group]] = {}  # VM -> the enabled ones that it is in

    def __bool__(self) -> bool:
        """Is there any group that binds a VM? Most clusters need not ask further."""
        return bool(self._of)

    @property
    def groups(self) -> tuple[Group, ...]:
        """All, also those that bind nobody."""
        return tuple(self._groups.values())

    def put(self, group: Group) -> None:
        self.drop(group.id)
        self._groups[group.id] = group
        for vm in group.vms if group.enabled else ():
            self._of.setdefault(vm, {})[group.id] = group

    def drop(self, group: str) -> None:
        old = self._groups.pop(group, None)
        for vm in old.vms if old is not None and old.enabled else ():
            del self._of[vm][group]
            if not self._of[vm]:
                del self._of[vm]

    def of(self, vm: str) -> tuple[Group, ...]:
        """The enabled groups that it is in, by name."""
        known = self._of.get(vm)
        return tuple(sorted(known.values(), key=lambda group: group.id)) if known else ()

    def copy(self) -> Bonds:
        twin = Bonds()
        twin._groups = self._groups.copy()
        twin._of = {vm: groups.copy() for vm, groups in self._of.items()}
        return twin
