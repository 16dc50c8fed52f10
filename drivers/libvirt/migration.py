"""Live migration, peer to peer: the source's libvirt drives it, so it does not end with who asked for it.

Four things differ from a hypervisor that keeps both copies:

- The record says *leaving*, and for where, before libvirt is asked. While the domain runs it runs; once it has no process any
  more its memory is on the target, where it stands still, *incoming*. It is still listed here as paused: this host may have
  it back, and its room is kept for that.
- Only the target lets the copy run: whether it has a lease is known there alone. Who finishes a migration writes *arriving*
  into the copy's record, and the target's own node sees that, looks at its lease, and resumes.
- To abort before the copy is complete is to cancel it: the source goes on. To abort afterwards is to migrate it back, with the
  source's own epoch; nothing runs meanwhile. Each step can be repeated by who finds the domain in between:
  the memory is, whole, on one of the two hosts, and the other's copy is not complete or has no process.
- When the target cannot be reached, whoever aborts is told Unavailable. When it can be and has no copy (it has lost power), or
  was not to be reached for GIVE_UP_SECONDS in a row, the memory is lost. Then the domain here counts as one that has crashed:
  its VM starts anew from its volumes, which this host still owns, and a copy that should turn up is a stale one, and incoming,
  so it never runs. Whose abort it was is told Refused, once.

A copy that is removed from another host takes the rights in its record with it: that host's files are not to be reached from
here. Nothing ran there by them, the source keeps the same rights, and so does the storage.

Every function here blocks.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping

import libvirt
import msgspec

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from ave.ports.hypervisor import DomainState, Stamp
from drivers.libvirt import takeover, xml
from drivers.libvirt.disks import Lun
from drivers.libvirt.domains import Domains, Here
from drivers.libvirt.host import Reach
from drivers.libvirt.record import Record
from drivers.phases import ARRIVED, Phase
from drivers.rights import accepting

FLAGS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_PAUSED
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
)
COMING = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN
ARRIVE_SECONDS = 5.0  # for the target's node to see that its copy may run
CANCEL_SECONDS = 20.0  # for a migration that was cancelled to be over
GIVE_UP_SECONDS = 90.0  # without a word from the target's libvirt
LOOK_AGAIN_SECONDS = 0.05


class Copy(msgspec.Struct, frozen=True):
    """What the other side needs: where it is, and how it reaches the volumes."""

    reach: Reach
    luns: Mapping[str, Lun]


def migrate(source: Domains, target: Domains, wanted: VM, copy: Copy, stamp: Stamp) -> None:
    """Both copies stand still when it returns. Refused if it does not run here, or has a domain there."""
    vm = wanted.id
    here = _leave(source, target, vm, stamp)
    rights = accepting(here.record.rights, _next(stamp)) if stamp.job else here.record.rights
    there = msgspec.structs.replace(here.record.vm, host_epoch=wanted.host_epoch, unpinned=False)
    incoming = Record(vm=there, epoch=stamp.epoch + 1, phase=Phase.INCOMING, rights=rights)
    try:
        _send(source, here, incoming, copy)
    except (Refused, Unavailable):
        now = source.look(vm)
        if now is not None and now.active and now.phase is Phase.LEAVING:
            source.let_run(now)
        raise


def _leave(source: Domains, target: Domains, vm: str, stamp: Stamp) -> Here:
    here = source.look(vm)
    if here is None or here.state is not DomainState.RUNNING or not here.active:
        raise Refused(f"{vm} does not run on {source.name}")
    here = source.accept(vm, stamp, "migrate", here) or here
    there = target.look(vm)
    if there is not None and there.active:
        raise Refused(f"{vm} already has a domain on {target.name}")
    if there is not None:
        target.accept(vm, _next(stamp), "migrate", there)
    return source.write(here, phase=Phase.LEAVING, target=target.name)


def _send(giver: Domains, here: Here, record: Record, copy: Copy) -> None:
    parameters: dict[str, object] = {
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: _there(giver, here, record, copy, 0),
        libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: _there(giver, here, record, copy, libvirt.VIR_DOMAIN_XML_INACTIVE),
    }
    if copy.reach.migration:
        parameters[libvirt.VIR_MIGRATE_PARAM_URI] = copy.reach.migration
    with giver.link.doing(f"migrate {here.vm}"):
        here.domain.migrateToURI3(copy.reach.peer, parameters, FLAGS)


def _there(giver: Domains, here: Here, record: Record, copy: Copy, flags: int) -> str:
    """The domain's own XML, with the other side's record and ways to its volumes."""
    root = giver.xml_of(here, flags | libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE)
    xml.readdress(root, record, copy.luns)
    return ET.tostring(root, encoding="unicode")


def finish(source: Domains, target: Domains, vm: str, stamp: Stamp) -> None:
    """The copy here goes first: nothing can let it run again, so whatever comes in between, one at most runs."""
    there = _copy(target, vm, stamp)
    if there.phase in ARRIVED:
        _forget_source(source, target, vm, stamp)
        return
    if target.files is not None:
        target.require_lease(vm)
    _forget_source(source, target, vm, stamp)
    if target.files is not None:
        if not target.let_run(there):
            target.require_lease(vm)
        return
    target.write(there, phase=Phase.ARRIVING)
    ends = time.monotonic() + ARRIVE_SECONDS
    while _copy(target, vm, stamp).phase not in ARRIVED:
        if time.monotonic() >= ends:
            raise Unavailable(f"{target.name} has not let {vm} run within {ARRIVE_SECONDS:g} s, though it may")
        time.sleep(LOOK_AGAIN_SECONDS)


def _forget_source(source: Domains, target: Domains, vm: str, stamp: Stamp) -> None:
    if target.name == source.name:
        return
    here = source.look(vm)
    source.accept(vm, stamp, "finish migration", here)
    if here is not None and here.epoch < stamp.epoch:
        source.remove(here)


def _copy(target: Domains, vm: str, stamp: Stamp) -> Here:
    there = target.look(vm)
    if there is None or not there.active or there.epoch != stamp.epoch or target.job_of(there):
        raise Refused(f"{vm} has no copy of epoch {stamp.epoch} on {target.name}")
    return target.accept(vm, stamp, "finish migration", there) or there


def cancel(source: Domains, vm: str, stamp: Stamp, what: str) -> None:
    """If its memory is being copied, that ends, soon. Needs no lock: who copies it holds that. Refused if outdated."""
    ends = time.monotonic() + CANCEL_SECONDS
    while (here := source.look(vm)) is not None and here.active and here.phase is Phase.LEAVING:
        source.require(vm, stamp, what, here)
        if source.job_of(here) != libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
            return
        if time.monotonic() >= ends:
            raise Unavailable(f"the migration of {vm} was cancelled {CANCEL_SECONDS:g} s ago and is not over")
        try:
            with source.link.doing(f"cancel the migration of {vm}"):
                here.domain.abortJob()
        except Unavailable:
            pass  # it has ended meanwhile, or is past being cancelled: the next look tells
        time.sleep(LOOK_AGAIN_SECONDS)


class Unheard:
    """Since when the targets of migrations that are to be aborted cannot be reached."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def look(self, target: Domains, vm: str) -> Here | None:
        """What is there of it. None also if its host was not to be reached for too long; Unavailable until then."""
        try:
            there = target.look(vm)
        except Unavailable:
            since = self._since.setdefault(vm, time.monotonic())
            if time.monotonic() - since < GIVE_UP_SECONDS:
                raise
            there = None
        self._since.pop(vm, None)
        return there


def abort(source: Domains, target: Domains, vm: str, stamp: Stamp, back: Copy, unheard: Unheard) -> None:
    """``back``: how this host is reached, and reaches the volumes, under the VM's own epoch."""
    here = source.look(vm)
    if here is not None:
        here = source.accept(vm, stamp, "abort migration", here)
    if here is not None and here.is_away:
        _bring_back(source, target, here, stamp, back, unheard)
    elif here is not None and _may_be_coming_back(here) and source.job_of(here) == COMING:
        raise Unavailable(f"{vm} is on its way back to {source.name}")
    elif target.name != source.name:
        _remove_copy(target, vm, stamp, here)
    here = source.look(vm)
    if here is not None and here.active and here.phase is Phase.LEAVING:
        source.let_run(here)


def _may_be_coming_back(here: Here) -> bool:
    """Of others libvirt is not asked: it does not answer while a pause of theirs waits for a disk, and whoever waits holds
    the lock without which they cannot go on."""
    return here.phase not in (Phase.SETTLED, Phase.SUSPENDED)


def _bring_back(source: Domains, target: Domains, here: Here, stamp: Stamp, back: Copy, unheard: Unheard) -> None:
    vm, there = here.vm, unheard.look(target, here.vm)
    ours = there is not None and there.active and there.epoch == here.epoch + 1
    if there is None or not ours or (there.standing and target.job_of(there)):
        source.write(here, phase=Phase.SETTLED, target="")
        raise Refused(f"the memory of {vm} was lost on {target.name}: it can only be started anew")
    if there.phase is not Phase.INCOMING:
        raise Refused(f"{vm} was given to {target.name} for good: its migration can only be finished")
    there = target.accept(vm, msgspec.structs.replace(stamp, epoch=there.epoch), "abort migration", there) or there
    takeover.take_over(target, there)
    _send(target, there, here.record, back)  # with its own rights: the copy's are of an epoch that was never given
    target.remove(target.look(vm))


def _remove_copy(target: Domains, vm: str, stamp: Stamp, here: Here | None) -> None:
    """The VM's memory is here, or nowhere: so the copy is of no use. One that cannot be reached never runs."""
    try:
        there = target.look(vm)
    except Unavailable:
        return
    if there is None or there.epoch != stamp.epoch + 1:
        return
    if there.phase is Phase.INCOMING:
        target.accept(vm, msgspec.structs.replace(stamp, epoch=there.epoch), "abort migration", there)
        target.remove(there)
    elif here is not None and here.phase is Phase.LEAVING:
        raise Refused(f"{vm} was given to {target.name} for good: its migration can only be finished")


def _next(stamp: Stamp) -> Stamp:
    return msgspec.structs.replace(stamp, epoch=stamp.epoch + 1)
