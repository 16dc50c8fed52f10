"""LIO, the iSCSI target of the Linux kernel, by its configfs and rtslib: another server of volumes than tgtd.

Each target has one group, one initiator and one file, as on tgtd. To disable a group ends its sessions and waits for their
commands; the kernel removes no target that has any. What of this was tried, and what could not be, is in docs/iscsi.md.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rtslib_fb import (
    TPG,
    FabricModule,
    FileIOStorageObject,
    NetworkPortal,
    RTSLibError,
    RTSLibNotInCFSError,
    Target,
)
from rtslib_fb.node import CFSNode

from ave.errors import Unavailable
from drivers.iscsi.backend import Export
from drivers.iscsi.names import LUN
from drivers.urls import endpoint

GROUP = 1
ATTRIBUTES = {"authentication": 1, "generate_node_acls": 0, "demo_mode_write_protect": 1}  # nobody who is not named


class Lio:
    luns_per_target = (
        1  # as on tgtd, so that a fence takes down a whole target; LIO itself could map LUNs to initiators
    )

    def __init__(self, portal: str) -> None:
        """``portal``: address and port on the storage network, at which every target listens."""
        self._portal = endpoint(portal)
        self._one = threading.Lock()  # rtslib numbers files by a table of its process

    def look(self, wanted: Mapping[str, Export]) -> dict[str, bool]:
        with self._asked("list its targets") as fabric:
            found = {target.wwn: target for target in fabric.targets}
            return {name: name in wanted and self._serves(target, wanted[name]) for name, target in found.items()}

    def require(self, target: str) -> None:
        with self._asked(f"look for {target}") as fabric:
            self._found(fabric, target)

    def put_up(self, export: Export, secret: str) -> None:
        with self._asked(f"make {export.target}") as fabric:
            try:
                group = TPG(Target(fabric, export.target, mode="create"), GROUP, mode="create")
                for name, value in ATTRIBUTES.items():
                    group.set_attribute(name, value)
                initiator = group.node_acl(export.initiator, mode="create")
                initiator.chap_userid, initiator.chap_password = export.user, secret
                self._open(group, export)
                NetworkPortal(group, *self._portal, mode="create")
                group.enable = True  # last: before it nobody may log in
            except BaseException:
                self._remove(fabric, export.target)
                raise

    def reopen(self, export: Export) -> None:
        """The kernel looks at a file's size when it opens it. Meanwhile there are no sessions, so no command fails."""
        with self._asked(f"open {export.path} anew") as fabric:
            group = TPG(self._found(fabric, export.target), GROUP, mode="lookup")
            group.enable = False
            for lun in group.luns:
                lun.delete()
            self._close(export.target)
            self._open(group, export)
            group.enable = True

    def take_down(self, target: str) -> None:
        with self._asked(f"remove {target}") as fabric:
            self._remove(fabric, target)

    def _open(self, group: TPG, export: Export) -> None:
        file = FileIOStorageObject(_file_name(export.target), dev=export.path, size=export.size, wwn=export.serial)
        file.set_attribute("emulate_tpu", 1)  # what a guest discards is given back
        lun = group.lun(LUN, file)
        for initiator in group.node_acls:
            initiator.mapped_lun(LUN, lun, False)

    def _remove(self, fabric: FabricModule, name: str) -> None:
        for target in fabric.targets:
            if target.wwn == name:
                for group in target.tpgs:
                    group.enable = False
                target.delete()
        self._close(name)

    def _close(self, target: str) -> None:
        try:
            FileIOStorageObject(_file_name(target)).delete()
        except RTSLibNotInCFSError:
            pass  # gone already

    def _found(self, fabric: FabricModule, name: str) -> Target:
        for target in fabric.targets:
            if target.wwn == name:
                return target
        raise Unavailable(f"LIO has no target {name}")

    def _serves(self, target: Target, export: Export) -> bool:
        """Is it just this, and whole?"""
        groups = list(target.tpgs)
        if len(groups) != 1 or not groups[0].enable:
            return False
        (group,) = groups
        told = [(acl.node_wwn, acl.chap_userid, [lun.mapped_lun for lun in acl.mapped_luns]) for acl in group.node_acls]
        files = [(lun.lun, lun.storage_object.udev_path, lun.storage_object.size) for lun in group.luns]
        portals = [(portal.ip_address, portal.port) for portal in group.network_portals]
        return (
            told == [(export.initiator, export.user, [LUN])]
            and files == [(LUN, export.path, export.size)]
            and portals == [self._portal]
            and all(int(group.get_attribute(name)) == value for name, value in ATTRIBUTES.items())
        )

    @contextmanager
    def _asked(self, what: str) -> Iterator[FabricModule]:
        """What rtslib and the kernel say against it is Unavailable."""
        root = Path(CFSNode.configfs_dir)
        if not root.is_dir():
            raise Unavailable(
                f"LIO is not in this kernel: there is no {root}. Load it, modprobe target_core_mod iscsi_target_mod, "
                "mount -t configfs none /sys/kernel/config, or use tgtd: [storage] backend = 'tgt'"
            )
        with self._one:
            try:
                yield FabricModule("iscsi")
            except (RTSLibError, OSError) as trouble:
                raise Unavailable(f"LIO does not {what}: {trouble}") from trouble


def _file_name(target: str) -> str:
    """Of a target's file in the kernel, where names are short."""
    return f"ave-{hashlib.sha256(target.encode()).hexdigest()[:24]}"
