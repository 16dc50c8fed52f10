"""The domains of one host, as libvirt shows them. Every method here blocks, and is a thread's work.

Each is persistent, so that libvirt still knows it when it has ended, and its record is in its metadata. Of another host the
same can be seen and done, but for what only its files know: whether it has a lease, and the rights of VMs without a domain.
"""

from __future__ import annotations

import signal
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import libvirt
import msgspec

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from ave.ports.hypervisor import Domain, DomainState, End, Ended, Stamp
from drivers import pinning
from drivers.libvirt import pins, processes, xml
from drivers.libvirt.faults import is_gone
from drivers.libvirt.host import HostFiles
from drivers.libvirt.link import Link
from drivers.libvirt.record import NAMESPACE, OURS, PREFIX, Record, decoded_element, encoded, uuid_of
from drivers.phases import BEFORE_IT_RUNS, STATES, Phase
from drivers.process import life
from drivers.process.life import Life
from drivers.rights import Rights, accepting, outdating

RUNNING = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED, libvirt.VIR_DOMAIN_SHUTDOWN)
CONFIG, LIVE = libvirt.VIR_DOMAIN_AFFECT_CONFIG, libvirt.VIR_DOMAIN_AFFECT_LIVE
# why a domain without a process is shut off, if it went to another host: a libvirtd that came since does not know why
WENT_AWAY = (libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED, libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN)
UNDEFINE = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """A domain that libvirt knows, whether it has a process or not."""

    domain: libvirt.virDomain
    record: Record
    active: bool  # has a process
    standing: bool  # and that stands still
    reason: int  # libvirt's, for its state
    boot: str  # of the host

    @property
    def vm(self) -> str:
        return self.record.vm.id

    @property
    def epoch(self) -> int:
        return self.record.epoch

    @property
    def phase(self) -> Phase:
        return self.record.phase

    @property
    def state(self) -> DomainState:
        return STATES[self.phase][self.standing or not self.active]

    @property
    def is_here(self) -> bool:
        """Is it one of the VM's incarnations? So is one whose memory is on another host, until that is settled."""
        return self.active or self.is_away

    @property
    def is_away(self) -> bool:
        """It was complete on another host when its process here ended: as far as is known, it is there."""
        left = not self.active and self.phase is Phase.LEAVING and self.record.boot == self.boot
        return left and self.reason in WENT_AWAY

    @property
    def has_ended(self) -> bool:
        """By itself: whoever ends one removes it."""
        ours = self.record.boot == self.boot and self.phase is not Phase.INCOMING
        return ours and not self.active and not self.is_away


class Domains:
    """``files`` is None for another host than this process's own."""

    def __init__(self, link: Link, files: HostFiles | None) -> None:
        self.link, self.files = link, files
        self.name = link.host

    # Looking

    def list(self) -> tuple[Domain, ...]:
        """Unavailable if any could be missed: an empty answer says that nothing is here."""
        return tuple(
            Domain(
                vm=here.vm,
                state=here.state,
                epoch=here.epoch,
                memory_mib=here.record.vm.memory_mib,
                cpus=here.record.cpus,
            )
            for here in self.known()
            if here.is_here
        )

    def ended(self) -> tuple[Ended, ...]:
        def end(here: Here) -> End:
            return End.SHUTDOWN if here.reason == libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN else End.CRASHED

        return tuple(Ended(vm=here.vm, epoch=here.epoch, end=end(here)) for here in self.known() if here.has_ended)

    def known(self) -> tuple[Here, ...]:
        """All that libvirt knows of ours, by VM."""
        found = []
        with self.link.doing("list domains", mutates=False) as connection:
            for domain in connection.listAllDomains(0):
                if domain.name().startswith(OURS) and (here := self._here(domain)):
                    found.append(here)
        return tuple(sorted(found, key=lambda here: here.vm))

    def look(self, vm: str) -> Here | None:
        """What libvirt knows of this VM."""
        with self.link.doing(f"look for {vm}", mutates=False) as connection:
            try:
                return self._here(connection.lookupByUUIDString(uuid_of(vm)))
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    return None
                raise

    def _here(self, domain: libvirt.virDomain) -> Here | None:
        """None for one that goes this very moment."""
        try:
            state, reason, active, record = self._seen(domain)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                raise
            state, reason, active, record = self._seen(domain)  # its process has ended between two questions
        process = self.process(domain.name())
        standing = state not in RUNNING or (process is not None and life.is_standing(process))
        return Here(
            domain=domain,
            record=record,
            active=active,
            standing=active and standing,
            reason=reason,
            boot=self.files.boot() if self.files else record.boot,
        )

    def _seen(self, domain: libvirt.virDomain) -> tuple[int, int, bool, Record]:
        state, reason = domain.state()
        active = state not in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED)
        return state, reason, active, self._record(domain, active)

    def _record(self, domain: libvirt.virDomain, active: bool) -> Record:
        kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
        try:
            text = domain.metadata(kind, NAMESPACE, LIVE if active else CONFIG)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_METADATA:
                raise
            text = ""
        record = decoded_element(text)
        if record is None:
            name = domain.name()
            raise Unavailable(
                f"domain {name} on {self.name} has no record that AVE can read, so nobody knows what it is: "
                f"when it may go, virsh destroy {name}, then virsh undefine {name}"
            )
        return record

    def job_of(self, here: Here) -> int:
        """What libvirt is at with it: VIR_DOMAIN_JOB_OPERATION_…, 0 for nothing."""
        if not here.active:
            return 0
        with self.link.doing(f"look what is done with {here.vm}", mutates=False):
            try:
                return int(here.domain.jobStats().get("operation", 0))
            except libvirt.libvirtError as error:
                if is_gone(error):
                    return 0
                raise

    def process(self, name: str) -> Life | None:
        """Of a domain of this host."""
        return processes.process_of(self.files.pids, name) if self.files else None

    # The right to act

    @contextmanager
    def locked(self, vm: str) -> Iterator[None]:
        with self.files.locked(vm) if self.files else nullcontext():
            yield

    def accept(self, vm: str, stamp: Stamp, what: str, here: Here | None) -> Here | None:
        """Refuse a right older than the newest seen; remember this one, durably, before anything is done by it.

        A host that settles what is its own acts for no Job: it names the incarnation it means, and leaves no stamp.
        Returns what is here, as it is then.
        """
        if not stamp.job:
            self.require(vm, stamp, what, here)
            return here
        after = accepting(self.require(vm, stamp, what, here), stamp)
        if self.files is not None and after != self.files.rights(vm, what):
            self.files.keep_rights(vm, after)
        return self.write(here, rights=after) if here is not None else None

    def require(self, vm: str, stamp: Stamp, what: str, here: Here | None) -> Rights:
        """Refuse a right older than the newest seen; returns those that were."""
        there = here if here is not None and here.is_here else None
        if there is not None and there.epoch > stamp.epoch and not (stamp.job and there.state is DomainState.INCOMING):
            raise Refused(f"{vm}: {what} means epoch {stamp.epoch}, but {there.epoch} is here")
        rights = merged(self.files.rights(vm, what) if self.files else (), here.record.rights if here else ())
        if stamp.job and (newest := outdating(rights, stamp)):
            raise Refused(f"{vm}: {what} by {stamp.job} is outdated; {newest.job} came after it")
        return rights

    def accepted(self, vm: str, stamp: Stamp, what: str) -> Here:
        """The domain of the stamp's epoch, which is here, once the stamp was accepted."""
        here = self.accept(vm, stamp, what, self.look(vm))
        if here is None or not here.is_here or here.epoch != stamp.epoch:
            raise Refused(f"{vm} has no domain of epoch {stamp.epoch} on {self.name}")
        return here

    # Acting: the VM is locked by whoever calls

    def write(self, here: Here, **changes: object) -> Here:
        """Durably, and where its process, if it has one, is looked at."""
        record = msgspec.structs.replace(here.record, **changes)
        if record != here.record:
            with self.link.doing(f"write the record of {here.vm}"):
                flags = CONFIG | (LIVE if here.active else 0)
                kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
                here.domain.setMetadata(kind, encoded(record), PREFIX, NAMESPACE, flags)
        return msgspec.structs.replace(here, record=record)

    def define(self, wanted: xml.Meant, text: str) -> Here:
        """Known to libvirt, as it was meant."""
        with self.link.doing(f"define {wanted.name}") as connection:
            domain = connection.defineXML(text)
            try:
                xml.require(wanted, domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            except Refused:
                domain.undefineFlags(UNDEFINE)
                raise
            here = self._here(domain)
        if here is None:
            raise Unavailable(f"{wanted.name} on {self.name} was removed by somebody else as soon as it was there")
        return here

    def begin(self, here: Here) -> Here:
        """Give it a process, and let that run: nothing does so without a lease."""
        if not here.active:
            with self.link.doing(f"start {here.vm}"):
                here.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        here = self.write(msgspec.structs.replace(here, active=True, standing=True), boot=here.boot)
        here = pins.reserved(self, here)
        pinning.require(here.record.vm, self.name, here.record.cpus)
        self.require_lease(here.vm)  # it may have ended meanwhile
        if not self.let_run(here):
            self.require_lease(here.vm)
        return here

    def remove(self, here: Here | None) -> None:
        """End its process, if it has one, and forget it; its rights stay."""
        if here is None:
            return
        if self.files is not None:
            kept = self.files.rights(here.vm, "remove")
            if (rights := merged(kept, here.record.rights)) != kept:
                self.files.keep_rights(here.vm, rights)
        process = self.process(here.domain.name())
        if process is not None and life.is_standing(process):
            life.end(process)  # a frozen one does not obey; libvirt would wait ten seconds for it
        with self.link.doing(f"remove {here.vm}"):
            for end in (here.domain.destroy, lambda: here.domain.undefineFlags(UNDEFINE)):
                try:
                    end()
                except libvirt.libvirtError as error:
                    if error.get_error_code() == libvirt.VIR_ERR_OPERATION_TIMEOUT:
                        raise self._not_let_go(here) from error
                    if not is_gone(error):
                        raise

    def _not_let_go(self, here: Here) -> Unavailable:
        """libvirt has waited for half a minute for its own lock. A libvirtd that came while the one before was starting a
        domain (9.0 is one) takes that start for one under way, for as long as the file is there that says so."""
        name = here.domain.name()
        if (process := self.process(name)) is not None:
            life.end(process)
        return Unavailable(
            f"{here.vm}: libvirtd on {self.name} does not let go of it. If it says so again: on {self.name}, stop libvirtd, "
            f"remove /run/libvirt/qemu/{name}.xml, and start libvirtd; VMs run on meanwhile"
        )

    def let_run(self, here: Here) -> bool:
        """Its right is beyond doubt: does it run now? If the lease is over it is left paused, and a copy incoming.

        Whoever repeats this, because its caller died, comes to the same end.
        """
        on = self._is_held(here.record.vm)
        here = self.write(here, phase=BEFORE_IT_RUNS[here.phase][on], boot=here.boot)
        if not on:
            return False
        here = pins.pinned(self, here)
        process = self.process(here.domain.name())
        with self.link.doing(f"resume {here.vm}"):
            if process is not None:
                life.send(process, signal.SIGCONT)
            self._resume(here)
            if not self._is_held(here.record.vm):  # who let it run fell asleep in between
                here.domain.suspend()
                return False
        self.write(here, phase=Phase.SETTLED, target="")
        return True

    def _resume(self, here: Here) -> None:
        """Also of one that is said to run: a libvirtd that has just begun knows better only when it has asked QEMU, and until
        then whoever wants something done waits."""
        try:
            here.domain.resume()
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID or here.domain.state()[0] not in RUNNING:
                raise

    def stand(self, here: Here) -> None:
        """It stands still when this returns."""
        if not here.active or here.standing:
            return
        with self.link.doing(f"pause {here.vm}"):
            try:
                here.domain.suspend()
            except libvirt.libvirtError as error:
                if not is_gone(error):
                    raise

    def _is_held(self, vm: VM) -> bool:
        """Is there a lease, and for the very epoch of this host to which the VM was given?"""
        return self._has_lease() and self.files is not None and vm.host_epoch == self.files.signs.held()[1]

    def _has_lease(self) -> bool:
        """By the clock that every runtime on this machine shows, as all its processes share it."""
        return self.files is not None and time.monotonic() < self.files.signs.held()[0]

    def require_lease(self, vm: str) -> None:
        if not self._has_lease():
            raise Unavailable(f"{vm} cannot begin to run on {self.name}: the host's lease is over")

    def require_held(self, vm: VM) -> None:
        """A lease, and for the very epoch of this host to which the VM was given."""
        self.require_lease(vm.id)
        if not self._is_held(vm) and self.files is not None:
            epoch = self.files.signs.held()[1]
            raise Unavailable(f"{vm.id} was given to epoch {vm.host_epoch} of {self.name}, which is in {epoch}")

    def xml_of(self, here: Here, flags: int) -> ET.Element:
        with self.link.doing(f"read {here.vm}", mutates=False):
            return ET.fromstring(here.domain.XMLDesc(flags))


def merged(one: Rights, other: Rights) -> Rights:
    """The newest of both."""
    for stamp in other:
        if outdating(one, stamp) is None:
            one = accepting(one, stamp)
    return one
