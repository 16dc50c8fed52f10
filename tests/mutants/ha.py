"""Bugs put into high availability: the lease, the verdict, the fence, the rescue, and what a host does when it boots."""

from __future__ import annotations

from ave.ha import rescue, verdict
from ave.ha.brake import Brake
from ave.ha.lease import LeaseKeeper
from ave.ha.monitor import Monitor
from ave.ha.retry import Attempts
from ave.ha.verdict import Silence
from ave.model.vm import VM
from ave.ports.hypervisor import DomainState
from ave.ports.together import Ports
from ave.vms import migrate, reconcile
from drivers.sim.block import SimBlock
from drivers.sim.hypervisor import SimHypervisor
from drivers.sim.machine import Machine
from drivers.sim.storage import Storage
from tests.mutants.mutant import Mutant
from tests.mutants.patch import edit, swap

sound_power_off = Machine.power_off
sound_power_on = Machine.power_on
sound_depose = Storage._depose
ASK_THE_STORE = "    await self._ports.store.get(Host, self._ports.host)\n"
RENEW_EACH_TIME = """\
    while True:
        await self._ports.runtime.sleep(RENEW_SECONDS)
        await self._renew()
"""
WRITABLE = (
    "(volume.owner == host and volume.epoch == epoch or vars(self).get('forgotten', {}).get(name) == volume.epoch)"
)


def power_off(self: Machine) -> None:
    vars(self)["ran"] = [guest for guest in self.guests.values() if guest.state is DomainState.RUNNING]
    sound_power_off(self)


def power_on_with_autostart(self: Machine) -> None:
    sound_power_on(self)
    for guest in vars(self).pop("ran", ()):
        vm = VM(
            id=guest.vm, vcpus=guest.vcpus, memory_mib=guest.memory_mib, volumes=guest.volumes, networks=guest.networks
        )
        self.add(vm, guest.epoch, incoming=False)


async def settle_nothing(ports: Ports, odd: list[VM]) -> dict[str, VM]:
    """A host that does not look after VMs whose processes have died."""
    return {}


def depose_and_forget(self: Storage) -> None:
    """Whose lease is revoked, and until they are attached anew who may write to what, died with the process."""
    for lease in self.leases.values():
        lease.revoked = False
    vars(self)["forgotten"] = {name: volume.epoch for name, volume in self.volumes.items()}
    sound_depose(self)


ROWS = (
    Mutant(
        number=4,
        name="no-storage-fence",
        broken="HA starts VMs elsewhere without revoking the lost host's lease",
        caught_by=("S1", "S4"),
        scenarios=("ha/host-loss.yaml",),
        patches=(edit(Monitor._carry_out, {"await self._ports.block.revoke(host.id, verdict.counter)": "pass"}),),
    ),
    Mutant(
        number=5,
        name="no-lease-wait",
        broken="HA does not wait for the lease to end",
        caught_by=("S2", "S4"),
        scenarios=("ha/partition-heals.yaml",),
        patches=(edit(verdict._judge, {"silent >= timing.verdict": "silent >= 20.0"}),),
    ),
    Mutant(
        name="no-lease-wait-by-s2",
        broken="HA does not wait for the lease to end, and S4 does not look",
        caught_by=("S2",),
        scenarios=("ha/partition-heals.yaml",),
        patches=(edit(verdict._judge, {"silent >= timing.verdict": "silent >= 20.0"}),),
        blind=("S4",),
    ),
    Mutant(
        number=6,
        name="equal-thresholds",
        broken="the host gives up and the leader judges after the same time",
        caught_by=("S2", "S4"),
        scenarios=("ha/partition-heals.yaml",),
        patches=(edit(verdict._judge, {"silent >= timing.verdict": "silent >= timing.give_up"}),),
    ),
    Mutant(
        number=7,
        name="fence-by-shutdown",
        broken="a host without a lease asks its guests to shut down",
        caught_by=("S2", "H2", "H5"),
        scenarios=("ha/partition-heals.yaml",),
        patches=(
            edit(
                LeaseKeeper._stand_still,
                {
                    "pause(domain.vm)": "shutdown(domain.vm, Stamp(epoch=domain.epoch), 300.0)",
                    "(Unavailable, UnknownOutcome)": "(Unavailable, UnknownOutcome, Refused)",
                },
            ),
        ),
    ),
    Mutant(
        number=8,
        name="store-time",
        broken="the leader counts silence by the clock of the store",
        caught_by=("H1", "H2"),
        scenarios=("regressions/store-election-prolongs-nothing.yaml",),
        patches=(edit(Monitor._watch_for_ever, {"asked = runtime.now()": "asked = await self._ports.store.now()"}),),
    ),
    Mutant(
        number=9,
        name="ages-kept",
        broken="a leader that was not watching counts the time as silence of the others",
        caught_by=("H2", "S2", "S4"),
        scenarios=("ha/leader-hangs.yaml",),
        nets=(
            swap(Brake, "holds", lambda self, host: False),
            edit(SimBlock.revoke, {"if lease.counter != counter:": "if False:"}),
        ),
        patches=(
            edit(
                Monitor._judge,
                {
                    "mirror = office.mirror": "self._leases._looked = self._ports.runtime.now()\n    mirror = office.mirror"
                },
            ),
            edit(Silence.look, {"if asked - self._looked > self._gap:": "if False:"}),
        ),
    ),
    Mutant(
        number=10,
        name="new-leader-does-not-wait",
        broken="a new leader takes whoever it has not seen renew for silent since ever",
        caught_by=("S2", "S4"),
        scenarios=("placement/two-schedulers.yaml",),
        patches=(
            edit(
                Silence._move,
                {"lease.counter, answered, lease.revoked": "lease.counter, answered if known else 0.0, lease.revoked"},
            ),
        ),
    ),
    Mutant(
        number=13,
        name="old-epoch-starts",
        broken="a host's agent starts a VM for an epoch that is over",
        caught_by=("S2", "S1", "H4"),
        scenarios=("regressions/start-outlives-the-lease.yaml",),
        patches=(
            edit(
                SimHypervisor.start,
                {
                    "self._require_owner(vm.id, vm.media, stamp.epoch)": "pass",
                    "self._require_held(vm)": "pass",
                },
            ),
        ),
    ),
    Mutant(
        number=20,
        name="no-boot-id",
        broken="nobody looks whether a host has booted since",
        caught_by=("H1", "D1", "H4"),
        scenarios=("regressions/reboot-under-partition.yaml",),
        patches=(
            edit(LeaseKeeper._enter, {"known.boot != facts.boot or ": ""}),
            edit(SimBlock.renew, {"lease.boot == boot and ": ""}),
            edit(reconcile.reconcile, {" or here.boot != (await ports.machine.facts()).boot": ""}),
        ),
        nets=(swap(reconcile, "_settle", settle_nothing),),
    ),
    Mutant(
        number=21,
        name="autostart",
        broken="a host that boots starts the VMs that ran there before",
        caught_by=("S2", "H4", "S1"),
        scenarios=("ha/host-loss.yaml",),
        patches=(swap(Machine, "power_off", power_off), swap(Machine, "power_on", power_on_with_autostart)),
    ),
    Mutant(
        number=22,
        name="read-only-is-dead",
        broken="a host whose own file system is read-only is rescued while it runs its VMs",
        caught_by=("S4",),
        scenarios=("jobs/file-system-read-only.yaml",),
        patches=(
            edit(
                verdict._judge,
                {
                    'HostState.READ_ONLY, f"its file system takes no writes for {seen.read_only:.0f} s"': (
                        'HostState.FENCED, "its file system takes no writes", seen.lease.counter'
                    )
                },
            ),
        ),
    ),
    Mutant(
        number=23,
        name="migration-goes-back",
        broken="a migration that fails resumes its source, whatever was committed",
        caught_by=("S2", "D1"),
        scenarios=("jobs/migrations-in-doubt.yaml",),
        blind=("H2",),  # it sees the domain that nobody wants any more go
        patches=(
            edit(migrate._hand_over, {"if now.epoch > vm.epoch:": "if False:"}),
            edit(
                migrate.abort_migration,
                {"    if _handed_over(vm, task):\n        await _go": "    if False:\n        await _go"},
            ),
        ),
    ),
    Mutant(
        number=33,
        name="no-pace",
        broken="rescues start as many VMs at once as there are",
        caught_by=("H3",),
        scenarios=("ha/zone-loss.yaml",),
        patches=(edit(rescue.split, {", pace=PACE": ""}),),
    ),
    Mutant(
        number=34,
        name="one-try",
        broken="a rescue that found no room is not tried again",
        caught_by=("H1", "H6"),
        scenarios=("ha/two-host-loss.yaml",),
        patches=(edit(Attempts.due, {"return waited >=": "return waited < 0 and waited >="}),),
    ),
    Mutant(
        number=35,
        name="fence-on-store-loss",
        broken="a host that does not reach the store stops its VMs",
        caught_by=("H2",),
        scenarios=("ha/partition-heals.yaml",),
        patches=(
            edit(LeaseKeeper._renew, {"    self._renewed(sent)": ASK_THE_STORE + "    self._renewed(sent)"}),
            edit(
                LeaseKeeper._keep, {"    block = self._ports.block": RENEW_EACH_TIME + "    block = self._ports.block"}
            ),
        ),
    ),
    Mutant(
        number=36,
        name="destroy-instead-of-pause",
        broken="a host without a lease destroys its VMs instead of pausing them",
        caught_by=("H2", "H5"),
        scenarios=("ha/partition-heals.yaml",),
        patches=(edit(LeaseKeeper._stand_still, {"self._ports.hypervisor.pause(domain.vm)": "self._destroy(domain)"}),),
    ),
    Mutant(
        name="old-word-believed",
        broken="what a host said of an older turn of its lease is believed of this one",
        caught_by=("S4",),
        scenarios=("ha/partition-heals.yaml",),
        patches=(edit(verdict._weigh, {" and report.given_up >= lease.turn": " and report.given_up"}),),
    ),
    Mutant(
        number=43,
        name="fence-in-memory",
        broken="the storage keeps in memory alone who may write",
        caught_by=("S1", "S2"),
        scenarios=("ha/woken-behind-a-new-meta-leader.yaml",),
        patches=(
            swap(Storage, "_depose", depose_and_forget),
            edit(Storage.accept, {"volume.owner == host and volume.epoch == epoch": WRITABLE}),
        ),
    ),
)
